//! A separate database for each test, removed when the test ends or panics.

use nexo_entities::Store;
use sea_orm::{ConnectionTrait, Database as Connection};
use tempfile::TempDir;
use uuid::Uuid;

const LANES: u32 = 4;

pub enum Database {
    Sqlite { url: String, _folder: TempDir },
    Postgres { url: String, server: String, name: String },
}

impl Database {
    pub fn sqlite() -> Database {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/data/nexo.db", folder.path().display());
        Database::Sqlite { url, _folder: folder }
    }

    /// Returns `None` if no server is configured.
    pub async fn postgres() -> Option<Database> {
        let server = std::env::var("NEXO_TEST_POSTGRES_URL").ok()?;
        let name = format!("nexo_{}", Uuid::new_v4().simple());
        let admin = Connection::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        admin.execute_unprepared(&create).await.unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        Some(Database::Postgres { url, server, name })
    }

    /// A handle on the same database that does not own it.
    pub fn share(&self) -> Database {
        match self {
            Database::Sqlite { .. } => unreachable!("its folder has one owner"),
            Database::Postgres { url, server, name } => {
                Database::Postgres { url: url.clone(), server: server.clone(), name: name.clone() }
            }
        }
    }

    pub fn url(&self) -> &str {
        match self {
            Database::Sqlite { url, .. } | Database::Postgres { url, .. } => url,
        }
    }

    /// Another store on the same database, as in another process.
    pub async fn open(&self) -> Store {
        Store::connect(self.url(), LANES).await.unwrap()
    }

    pub async fn migrated(&self) -> Store {
        let store = self.open().await;
        nexo_migration::up(store.connection()).await.unwrap();
        store
    }

    pub async fn remove(&self) {
        if let Database::Postgres { server, name, .. } = self {
            let admin = Connection::connect(server).await.unwrap();
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            admin.execute_unprepared(&drop).await.unwrap();
        }
    }
}

/// Runs `test` on `database`, which is dropped even if the test panics.
pub async fn run<F, T>(database: Database, test: T)
where
    F: Future<Output = ()> + Send + 'static,
    T: FnOnce(std::sync::Arc<Database>) -> F,
{
    let database = std::sync::Arc::new(database);
    let ended = tokio::spawn(test(database.clone())).await;
    database.remove().await;
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Defines a SQLite test and a PostgreSQL test for each of these functions.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            use crate::database::{Database, run};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    run(Database::sqlite(), super::$test).await;
                }
            )+
        }
        mod on_postgres {
            use crate::database::{Database, run};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(database) = Database::postgres().await {
                        run(database, super::$test).await;
                    }
                }
            )+
        }
    };
}
