"""Names and postings of full-text search with an index over their words; the crash signature of a dump."""

import django.db.models.deletion
from django.db import migrations, models

#: SQLite keeps the words in a table of FTS5 that follows SearchedName by triggers.
_SQLITE = (
    """CREATE VIRTUAL TABLE explorer_searchedwords USING fts5(
        words, content='explorer_searchedname', content_rowid='id', tokenize="unicode61 remove_diacritics 0", prefix='3',
        detail=none)""",
    """CREATE TRIGGER explorer_searchedname_added AFTER INSERT ON explorer_searchedname BEGIN
        INSERT INTO explorer_searchedwords(rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER explorer_searchedname_removed AFTER DELETE ON explorer_searchedname BEGIN
        INSERT INTO explorer_searchedwords(explorer_searchedwords, rowid, words) VALUES ('delete', old.id, old.words); END""",
)
_POSTGRES = (
    """CREATE INDEX explorer_searchedname_words ON explorer_searchedname
        USING gin (array_to_tsvector(string_to_array(words, ' ')))""",
    # Arrays of numbers do not compress, and are read whole.
    "ALTER TABLE explorer_searchposting ALTER COLUMN names SET STORAGE EXTERNAL",
    "ALTER TABLE explorer_searchposting ALTER COLUMN places SET STORAGE EXTERNAL",
)


def make_index(apps, schema_editor):
    for statement in _SQLITE if schema_editor.connection.vendor == "sqlite" else _POSTGRES:
        schema_editor.execute(statement)


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE explorer_searchedwords")


class Migration(migrations.Migration):
    dependencies = [("explorer", "0012_case_notes_and_views")]

    operations = [
        migrations.AddField(
            model_name='analysis',
            name='search_version',
            field=models.PositiveSmallIntegerField(db_index=True, default=0),
        ),
        migrations.AddField(
            model_name='dump',
            name='signature',
            field=models.CharField(blank=True, db_index=True, max_length=16),
        ),
        migrations.CreateModel(
            name='SearchedName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=32)),
                ('text', models.TextField()),
                ('words', models.TextField()),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='explorer.team')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('team', 'digest'), name='one_searched_name_per_text')],
            },
        ),
        migrations.CreateModel(
            name='SearchPosting',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.PositiveSmallIntegerField()),
                ('data_class', models.PositiveSmallIntegerField()),
                ('names', models.BinaryField()),
                ('places', models.BinaryField()),
                ('left_off', models.PositiveIntegerField(default=0)),
                ('dump', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='postings', to='explorer.dump')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('dump', 'kind'), name='one_posting_per_kind')],
            },
        ),
        migrations.RunPython(make_index, drop_index),
    ]
