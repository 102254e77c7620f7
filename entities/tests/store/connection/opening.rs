//! Each reason why a database cannot be opened has its own error and remedy.

use std::fs;

use nexo_entities::{Store, StoreError};

use crate::database::Database;

async fn refusal(url: &str) -> StoreError {
    Store::connect(url, 1).await.expect_err(url)
}

#[tokio::test]
async fn the_folder_of_a_sqlite_file_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a/b/nexo.db");
    let store = Store::connect(&format!("sqlite://{}", file.display()), 1).await.unwrap();
    assert!(file.is_file());
    store.ping().await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_created_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let url = format!("sqlite://{}/file/nexo.db", folder.path().display());
    let error = refusal(&url).await;
    assert!(matches!(error, StoreError::CannotCreateDirectory { .. }), "{error:?}");
    assert!(error.to_string().ends_with("/file"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nexo.db");
    fs::write(&file, "this is a letter, and a long one, to somebody".repeat(100)).unwrap();
    let error = refusal(&format!("sqlite://{}", file.display())).await;
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    let directory = folder.path().join("directory.db");
    fs::create_dir(&directory).unwrap();
    let error = refusal(&format!("sqlite://{}", directory.display())).await;
    assert!(matches!(error, StoreError::CannotOpen { .. }), "{error:?}");
}

#[tokio::test]
async fn a_url_of_another_scheme_is_refused() {
    for url in ["", "nexo.db", "mysql://localhost/nexo", "postgres:/nexo"] {
        assert!(matches!(refusal(url).await, StoreError::BadUrl), "{url}");
    }
    assert!(matches!(refusal("sqlite::memory:").await, StoreError::InMemory));
}

#[tokio::test]
async fn an_unreachable_server_is_named_without_the_password() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = refusal(&format!("postgres://nexo:hunter2@127.0.0.1:{port}/nexo")).await;
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")));
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[tokio::test]
async fn a_database_missing_on_the_server_is_named() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let error = refusal(&format!("{}_not", database.url())).await;
    database.remove().await;
    let StoreError::DatabaseMissing { database } = &error else {
        panic!("{error:?}");
    };
    assert!(database.ends_with("_not"));
}
