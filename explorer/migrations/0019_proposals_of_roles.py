"""What a lead and an administrator agree on says which role it is: protected reader, as all that is there, or lead."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("explorer", "0018_last_use_of_roles")]

    operations = [
        migrations.RenameModel("ProtectedReaderProposal", "RoleProposal"),
        migrations.AddField("roleproposal", "role", models.CharField(
            choices=[("protected", "Protected reader"), ("lead", "Team lead")], default="protected", max_length=10)),
        migrations.RemoveConstraint("roleproposal", "one_proposal_per_person"),
        migrations.AddConstraint("roleproposal", models.UniqueConstraint(
            fields=["team", "user", "role"], name="one_proposal_per_role")),
    ]
