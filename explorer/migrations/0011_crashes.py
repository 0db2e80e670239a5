from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('explorer', '0010_life_of_a_dump'),
    ]

    operations = [
        migrations.AddField(
            model_name='analysis',
            name='crashes',
            field=models.PositiveSmallIntegerField(default=0),
        ),
    ]
