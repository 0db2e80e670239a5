import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


def forget_tokens(apps, schema_editor):
    """Tokens kept under the former hash can never be presented again."""
    apps.get_model('explorer', 'ApiToken').objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('explorer', '0005_audit_of_objects'),
    ]

    operations = [
        migrations.RunPython(forget_tokens, migrations.RunPython.noop),
        migrations.AddField(
            model_name='apitoken',
            name='may_read',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='apitoken',
            name='may_upload',
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('analyst', 'Analyst'), ('lead', 'Team lead')], max_length=10)),
                ('email', models.EmailField(blank=True, max_length=254)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(null=True)),
                ('accepted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('invited_by', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='explorer.team')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
    ]
