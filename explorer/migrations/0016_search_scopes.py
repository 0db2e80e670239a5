"""Words of searched names stand behind their team and class; every dump is read again for it, by the server bit by bit."""

from django.db import migrations, models

_TRIGGERS = (
    """CREATE TRIGGER explorer_searchedname_added AFTER INSERT ON explorer_searchedname BEGIN
        INSERT INTO explorer_searchedwords(rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER explorer_searchedname_removed AFTER DELETE ON explorer_searchedname BEGIN
        INSERT INTO explorer_searchedwords(explorer_searchedwords, rowid, words) VALUES ('delete', old.id, old.words); END""",
    """CREATE TRIGGER explorer_searchedname_changed AFTER UPDATE OF words ON explorer_searchedname BEGIN
        INSERT INTO explorer_searchedwords(explorer_searchedwords, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO explorer_searchedwords(rowid, words) VALUES (new.id, new.words); END""",
)


def empty(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for trigger in ("added", "removed", "changed"):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS explorer_searchedname_{trigger}")
        schema_editor.execute("DROP TABLE explorer_searchedwords")
    schema_editor.execute("DELETE FROM explorer_searchposting")
    schema_editor.execute("DELETE FROM explorer_searchedname")
    apps.get_model("explorer", "Analysis").objects.update(search_version=0)


def _make_index(schema_editor, prefix, triggers):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute(
            f"""CREATE VIRTUAL TABLE explorer_searchedwords USING fts5(
                words, content='explorer_searchedname', content_rowid='id', tokenize="unicode61 remove_diacritics 0 categories 'L* N* Co Mc'",
                prefix='{prefix}', detail=none)"""
        )
        for statement in triggers:
            schema_editor.execute(statement)


def make_index(apps, schema_editor):
    _make_index(schema_editor, 12, _TRIGGERS)  # three characters behind the nine of a scope


def make_index_of_before(apps, schema_editor):
    _make_index(schema_editor, 3, _TRIGGERS[:2])


class Migration(migrations.Migration):
    dependencies = [("explorer", "0015_scrubbed_attempts")]

    operations = [
        migrations.RunPython(empty, make_index_of_before),
        migrations.AddField(
            model_name='searchedname',
            name='data_class',
            field=models.PositiveSmallIntegerField(default=2),
            preserve_default=False,
        ),
        migrations.RunPython(make_index, empty),
    ]
