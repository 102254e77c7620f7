//! Reads migrations that are SQL files: one text for SQLite and PostgreSQL.
//!
//! The file creates its tables first; the statements after the line `-- down:` drop them again. Lines after
//! `-- sqlite:` or `-- postgres:` apply to that database only, until `-- both:`. Other lines that begin with `--`
//! are comments. Types and table options in braces are in [`WORDS`].

use sea_orm::DatabaseBackend;

/// What stands in the files, for SQLite and for PostgreSQL.
///
/// SQLite's tables are `STRICT`, so they reject a value of the wrong type as PostgreSQL does.
const WORDS: [(&str, &str, &str); 8] = [
    ("{uuid}", "BLOB", "uuid"),
    ("{bytea}", "BLOB", "bytea"),
    ("{boolean}", "INTEGER", "boolean"),
    ("{bigint}", "INTEGER", "bigint"),
    ("{smallint}", "INTEGER", "smallint"),
    (
        "{identity}",
        "INTEGER PRIMARY KEY AUTOINCREMENT",
        "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    ),
    ("{strict}", "STRICT", ""),
    ("{strict without rowid}", "STRICT, WITHOUT ROWID", ""),
];

/// A migration whose statements are in a file.
pub(crate) struct SqlFile {
    pub name: &'static str,
    pub text: &'static str,
}

impl SqlFile {
    /// Returns the statements that apply the migration.
    pub fn up(&self, backend: DatabaseBackend) -> String {
        statements(self.up_and_down().0, backend)
    }

    /// Returns the statements that revert the migration.
    pub fn down(&self, backend: DatabaseBackend) -> String {
        statements(self.up_and_down().1, backend)
    }

    fn up_and_down(&self) -> (&'static str, &'static str) {
        self.text.split_once("\n-- down:\n").unwrap_or((self.text, ""))
    }
}

/// Returns the statements in `text` for one database.
fn statements(text: &str, backend: DatabaseBackend) -> String {
    let is_sqlite = backend == DatabaseBackend::Sqlite;
    let mut applies = true;
    let mut sql = String::new();
    for line in text.lines() {
        match line {
            "-- sqlite:" => applies = is_sqlite,
            "-- postgres:" => applies = !is_sqlite,
            "-- both:" => applies = true,
            _ if applies && !line.starts_with("--") => sql.extend([line, "\n"]),
            _ => {}
        }
    }
    WORDS.iter().fold(sql, |sql, (word, on_sqlite, on_postgres)| {
        sql.replace(word, if is_sqlite { on_sqlite } else { on_postgres })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FILES;

    #[test]
    fn each_database_gets_its_own_lines_and_types() {
        let text = "-- A comment.\nCREATE TABLE a (\n-- sqlite:\n    b text,\n-- postgres:\n    b text NOT NULL,\n\
                    -- both:\n    c {bytea}\n) {strict};\n";
        assert_eq!(
            statements(text, DatabaseBackend::Sqlite),
            "CREATE TABLE a (\n    b text,\n    c BLOB\n) STRICT;\n"
        );
        assert_eq!(
            statements(text, DatabaseBackend::Postgres),
            "CREATE TABLE a (\n    b text NOT NULL,\n    c bytea\n) ;\n"
        );
    }

    #[test]
    fn every_file_drops_what_it_creates_and_has_known_words_only() {
        for file in &FILES {
            for backend in [DatabaseBackend::Sqlite, DatabaseBackend::Postgres] {
                let (up, down) = (file.up(backend), file.down(backend));
                for object in ["TABLE", "FUNCTION"] {
                    let count = |sql: &str, verb| sql.matches(&format!("{verb} {object} ")).count();
                    assert_eq!(count(&up, "CREATE"), count(&down, "DROP"), "{}", file.name);
                }
                assert!(!(up + &down).contains(['{', '}']), "{}", file.name);
            }
        }
    }
}
