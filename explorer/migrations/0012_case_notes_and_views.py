"""Owner, status, ticket and tags of a dump; notes; saved views of the archive."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("explorer", "0011_crashes")]

    operations = [
        migrations.AddField(
            model_name='dump',
            name='assignee',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='dump',
            name='status',
            field=models.CharField(choices=[('open', 'Open'), ('investigating', 'Investigating'), ('resolved', 'Resolved'), ('wont_fix', "Won't fix")], default='open', max_length=13),
        ),
        migrations.AddField(
            model_name='dump',
            name='ticket_url',
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.CreateModel(
            name='Note',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('pin', models.CharField(choices=[('dump', 'the dump'), ('finding', 'a finding'), ('object', 'an object'), ('type', 'a type'), ('thread', 'a thread'), ('frame', 'a frame'), ('change', 'a change')], default='dump', max_length=8)),
                ('key', models.CharField(blank=True, max_length=1100)),
                ('label', models.CharField(blank=True, max_length=300)),
                ('text', models.TextField()),
                ('data_class', models.PositiveSmallIntegerField(default=2)),
                ('written_at', models.DateTimeField(auto_now_add=True)),
                ('edited_at', models.DateTimeField(null=True)),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dump', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notes', to='explorer.dump')),
            ],
            options={
                'ordering': ['written_at'],
                'indexes': [models.Index(fields=['dump', 'pin'], name='notes_of_a_dump')],
            },
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=60)),
                ('parameters', models.CharField(blank=True, max_length=2000)),
                ('saved_at', models.DateTimeField(auto_now=True)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to='explorer.team')),
            ],
            options={
                'ordering': ['name', 'saved_at'],
                'constraints': [models.UniqueConstraint(fields=('owner', 'name'), name='one_view_per_name')],
            },
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(db_index=True, max_length=40)),
                ('dump', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tags', to='explorer.dump')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('dump', 'name'), name='one_tag_per_name')],
            },
        ),
    ]
