//! What is done beside the calls, in tasks of their own that end before the database is closed.

use std::sync::Arc;

use actix_rt::task::JoinHandle;
use nexo_entities::store::Store;

use crate::jobs::low_balance;
use crate::jobs::low_balance::WriteLowBalance;
use crate::jobs::reviews;
use crate::jobs::reviews::ReviewSettings;

/// The chores of one node.
pub struct Chores {
    tasks: Vec<JoinHandle<()>>,
}

impl Chores {
    /// Starts them on this actix system. `reviews` is `None` where no traffic is looked at.
    pub fn start(
        store: &Store,
        reviews: Option<ReviewSettings>,
        letters: Arc<dyn WriteLowBalance>,
    ) -> Chores {
        let mut tasks = vec![actix_rt::spawn(low_balance::tell(store.clone(), letters))];
        tasks.extend(
            reviews.map(|settings| actix_rt::spawn(reviews::watch(store.clone(), settings))),
        );
        Chores { tasks }
    }

    /// Has this done, too.
    pub fn also(&mut self, chore: impl Future<Output = ()> + 'static) {
        self.tasks.push(actix_rt::spawn(chore));
    }

    /// Stops them. None of them then holds a connection.
    pub async fn stop(self) {
        for task in self.tasks {
            task.abort();
            // Either it ended or it was cut off: it is gone.
            let _ = task.await;
        }
    }
}
