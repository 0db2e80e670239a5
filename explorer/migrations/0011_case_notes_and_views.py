"""Owner, status, ticket and tags of a dump; notes; saved views of the archive."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("explorer", "0015_search_of_values")]

    operations = [
        migrations.AlterField("auditentry", "action", models.CharField(choices=[('reveal_registers', 'looked at registers'), ('reveal_object', 'looked at values of an object'), ('search_values', 'looked for a value'), ('open_window', 'opened a window for values'), ('view_hex', 'looked at raw memory'), ('ask_original', 'asked for the original file'), ('grant_original', 'let somebody download the original file'), ('download_original', 'downloaded the original file'), ('trash_dump', 'moved a dump to the trash'), ('restore_dump', 'took a dump out of the trash'), ('delete_dump', 'deleted a dump'), ('delete_original', 'deleted the original file of a dump'), ('change_keeping', 'changed how long dumps are kept'), ('change_quota', 'changed how much a team may keep'), ('remove_team', 'removed a team'), ('remove_account', 'removed an account'), ('narrow_dump', 'chose who sees a dump'), ('delete_note', 'deleted a note of somebody else'), ('hold_dump', 'set a hold'), ('lift_hold', 'lifted a hold'), ('share', 'made a share link'), ('end_share', 'revoked a share link'), ('open_share', 'opened a share link'), ('change_role', 'changed a role'), ('remove_member', 'took somebody out of a team'), ('invite', 'invited somebody'), ('join', 'joined a team'), ('break_glass', 'asked for access to a team'), ('grant_glass', 'granted access to a team'), ('make_token', 'made an API token'), ('revoke_token', 'revoked an API token'), ('export_audit', 'exported the audit')], max_length=32)),
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
