//! Tests that readiness reports a full disk, before an OTP is refused, and recovers by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Answer, Backend, Gateway, answer, client, phone, until};
use tempfile::TempDir;

const QUICK: (&str, &str) = ("NEXO_CALLS__REPEAT", "1");
/// Longer than the interval of the probes, on a busy machine.
const NOTICED: Duration = Duration::from_secs(40);

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` if this user cannot mount one.
    fn mount() -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(dir.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(SmallDisk(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills what is left of the disk with a file.
    fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        let block = vec![0; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

async fn ready(gateway: &Gateway) -> Answer {
    answer(client().get(format!("{}/readyz", gateway.url))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_reports_a_full_disk_and_recovers_with_it() {
    let Some(disk) = SmallDisk::mount() else {
        // tests/system/crash/disk.rs fills the disk without a file system of its own.
        eprintln!("skipped: mounting a file system needs root");
        return;
    };
    let url = format!("sqlite://{}/nexo.db", disk.path().display());
    let gateway = Gateway::start(Backend::Sqlite, &[QUICK, ("NEXO_DATABASE__URL", url.as_str())]);
    let customer = gateway.customer("a@example.com", "5.00");
    assert_eq!(ready(&gateway).await.status, 200);
    let filler = disk.fill();
    // No OTP is sent: the gateway finds out by itself.
    let full = until("503", NOTICED, async || {
        let ready = ready(&gateway).await;
        (ready.status == 503).then_some(ready)
    })
    .await;
    let problems = full.json["problems"].to_string();
    assert!(problems.contains("the disk under the database is full"), "{problems}");
    assert_eq!(gateway.metric("nexo_database_disk_full").await, 1.0);
    let before = customer.balance().await;
    let refused = customer.send(&phone(67), "482917").await;
    assert_eq!((refused.status, refused.error()), (503, "overloaded"), "{}", refused.text);
    assert_eq!(customer.balance().await, before);
    // Without any request that writes, it is ready again once there is space.
    std::fs::remove_file(filler).unwrap();
    until("200", NOTICED, async || (ready(&gateway).await.status == 200).then_some(())).await;
    let sent = customer.send(&phone(67), "482917").await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    until("the metric", NOTICED, async || {
        (gateway.metric("nexo_database_disk_full").await == 0.0).then_some(())
    })
    .await;
    customer.terminal(sent.json["id"].as_str().unwrap()).await;
    gateway.audit();
}
