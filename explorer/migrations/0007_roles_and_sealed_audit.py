"""Roles on the server and protected readers; who sees a dump, and holds; an audit whose rows are sealed one over the other."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from explorer.models.audit import seal


def seal_rows(apps, schema_editor):
    """Rows that are there already begin the chain, in the order in which they were written."""
    rows, previous = apps.get_model("explorer", "AuditEntry").objects, ""
    for sequence, row in enumerate(rows.order_by("pk").iterator(), 1):
        row.sequence, row.previous, row.outcome, row.data_class = sequence, previous, "done", 3
        row.actor_id, row.team_key, row.dump_key = row.user_id, row.team_id, row.dump_id
        row.digest = previous = seal(row)
        row.save()


def name_administrators(apps, schema_editor):
    apps.get_model("explorer", "User").objects.filter(is_superuser=True).update(server_role="administrator")


class Migration(migrations.Migration):
    dependencies = [("explorer", "0006_tokens_and_invitations")]

    operations = [
        migrations.AddField("user", "server_role", models.CharField(
            blank=True, choices=[("", "none"), ("auditor", "Auditor"), ("administrator", "Administrator")], default="", max_length=15)),
        migrations.RunPython(name_administrators, migrations.RunPython.noop),
        migrations.AddField("team", "opens_archive", models.BooleanField(default=False)),
        migrations.AddField("dump", "held_at", models.DateTimeField(null=True)),
        migrations.AddField("dump", "hold_note", models.CharField(blank=True, max_length=200)),
        migrations.AddField("dump", "only_people", models.ManyToManyField(
            blank=True, related_name="+", to=settings.AUTH_USER_MODEL)),
        migrations.CreateModel("ProtectedReaderProposal", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("created_at", models.DateTimeField(auto_now_add=True)),
            ("administrator", models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
            ("lead", models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
            ("team", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="proposals", to="explorer.team")),
            ("user", models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
        ]),
        migrations.AddConstraint("protectedreaderproposal", models.UniqueConstraint(
            fields=["team", "user"], name="one_proposal_per_person")),
        migrations.CreateModel("LentAccess", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("explanation", models.CharField(max_length=500)),
            ("asked_at", models.DateTimeField(auto_now_add=True)),
            ("expires_at", models.DateTimeField(null=True)),
            ("granted_by", models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL)),
            ("team", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="lent", to="explorer.team")),
            ("user", models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="lent", to=settings.AUTH_USER_MODEL)),
        ], options={"ordering": ["-asked_at"]}),
        migrations.AlterField("membership", "role", models.CharField(
            choices=[("viewer", "Viewer"), ("analyst", "Analyst"), ("protected", "Protected reader"), ("lead", "Team lead")],
            default="analyst", max_length=10)),
        migrations.AlterField("invitation", "role", models.CharField(
            choices=[("viewer", "Viewer"), ("analyst", "Analyst"), ("protected", "Protected reader"), ("lead", "Team lead")],
            max_length=10)),
        migrations.RenameField("auditentry", "user_name", "actor_name"),
        migrations.AddField("auditentry", "sequence", models.BigIntegerField(null=True)),
        migrations.AddField("auditentry", "actor_id", models.BigIntegerField(db_index=True, null=True)),
        migrations.AddField("auditentry", "team_key", models.UUIDField(db_index=True, null=True)),
        migrations.AddField("auditentry", "dump_key", models.UUIDField(db_index=True, null=True)),
        migrations.AddField("auditentry", "outcome", models.CharField(
            choices=[("done", "done"), ("denied", "denied"), ("failed", "failed")], default="done", max_length=8)),
        migrations.AddField("auditentry", "data_class", models.SmallIntegerField(null=True)),
        migrations.AddField("auditentry", "reason", models.CharField(blank=True, choices=[("incident", "incident"), ("leak", "memory leak"), ("crash", "crash"), ("hang", "hang or deadlock"), ("customer", "customer request"), ("security", "security investigation"), ("other", "something else")], max_length=10, default=""),
                            preserve_default=False),
        migrations.AddField("auditentry", "explanation", models.CharField(blank=True, max_length=500, default=""),
                            preserve_default=False),
        migrations.AddField("auditentry", "ticket", models.CharField(blank=True, max_length=100, default=""),
                            preserve_default=False),
        migrations.AddField("auditentry", "session", models.CharField(blank=True, max_length=12, default=""),
                            preserve_default=False),
        migrations.AddField("auditentry", "previous", models.CharField(blank=True, max_length=64, default=""),
                            preserve_default=False),
        migrations.AddField("auditentry", "digest", models.CharField(max_length=64, default=""), preserve_default=False),
        migrations.AlterField("auditentry", "at", models.DateTimeField(db_index=True)),
        migrations.RunPython(seal_rows, migrations.RunPython.noop),
        migrations.AlterField("auditentry", "sequence", models.BigIntegerField(unique=True)),
        migrations.AlterField("auditentry", "dump_name", models.CharField(blank=True, max_length=255)),
        migrations.AlterField("auditentry", "action", models.CharField(choices=[("reveal_registers", "looked at registers"), ("reveal_object", "looked at values of an object"), ("open_window", "opened a window for values"), ("view_hex", "looked at raw memory"), ("ask_original", "asked for the original file"), ("grant_original", "let somebody download the original file"), ("download_original", "downloaded the original file"), ("delete_dump", "deleted a dump"), ("narrow_dump", "chose who sees a dump"), ("hold_dump", "set a hold"), ("lift_hold", "lifted a hold"), ("share", "made a share link"), ("end_share", "revoked a share link"), ("open_share", "opened a share link"), ("change_role", "changed a role"), ("remove_member", "took somebody out of a team"), ("invite", "invited somebody"), ("join", "joined a team"), ("break_glass", "asked for access to a team"), ("grant_glass", "granted access to a team"), ("make_token", "made an API token"), ("revoke_token", "revoked an API token"), ("export_audit", "exported the audit")], max_length=32)),
        migrations.AlterModelOptions("auditentry", options={"ordering": ["-sequence"]}),
        migrations.RemoveField("auditentry", "user"),
        migrations.RemoveField("auditentry", "team"),
        migrations.RemoveField("auditentry", "dump"),
    ]
