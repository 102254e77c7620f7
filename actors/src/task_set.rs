//! Tasks of the actix system that run until they are stopped together.

use actix_rt::task::JoinHandle;

/// The tasks of one part of the process.
#[derive(Default)]
pub struct TaskSet(Vec<JoinHandle<()>>);

impl TaskSet {
    /// Starts a task on the current actix system.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.0.push(actix_rt::spawn(task));
    }

    /// Stops all tasks. Afterwards none of them holds a database connection.
    pub async fn stop(self) {
        for task in self.0 {
            task.abort();
            // An error only says that the task was aborted.
            let _ = task.await;
        }
    }
}
