from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('explorer', '0016_crashes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='auditentry',
            name='action',
            field=models.CharField(choices=[('reveal_registers', 'looked at registers'), ('reveal_object', 'looked at values of an object'), ('search_values', 'looked for a value'), ('open_window', 'opened a window for values'), ('view_hex', 'looked at raw memory'), ('ask_original', 'asked for the original file'), ('grant_original', 'let somebody download the original file'), ('download_original', 'downloaded the original file'), ('trash_dump', 'moved a dump to the trash'), ('restore_dump', 'took a dump out of the trash'), ('delete_dump', 'deleted a dump'), ('delete_original', 'deleted the original file of a dump'), ('change_keeping', 'changed how long dumps are kept'), ('change_quota', 'changed how much a team may keep'), ('remove_team', 'removed a team'), ('remove_account', 'removed an account'), ('narrow_dump', 'chose who sees a dump'), ('hold_dump', 'set a hold'), ('lift_hold', 'lifted a hold'), ('share', 'made a share link'), ('end_share', 'revoked a share link'), ('open_share', 'opened a share link'), ('change_role', 'changed a role'), ('remove_member', 'took somebody out of a team'), ('invite', 'invited somebody'), ('join', 'joined a team'), ('break_glass', 'asked for access to a team'), ('grant_glass', 'granted access to a team'), ('make_token', 'made an API token'), ('revoke_token', 'revoked an API token'), ('export_audit', 'exported the audit')], max_length=32),
        ),
    ]
