from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('explorer', '0009_original_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='analysis',
            name='crashes',
            field=models.PositiveSmallIntegerField(default=0),
        ),
    ]
