//! Starts and stops the tasks of each gateway as the configuration changes.

use std::sync::Arc;

use nexo_domain::phone::carrier_plan::Carrier;
use nexo_voice::endpoint::Endpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::trunk::carrier::Trunk;
use crate::trunk::gateway::Gateway;
use crate::trunk::gateway_state::GatewayState;
use crate::trunk::monitor::gateway_tasks::{Context, GatewayTask, Locate};
use crate::trunk::monitor::peers::{Peers, REMOVED_GATEWAY_GRACE};

/// The monitor of all gateways.
pub struct TrunkMonitor {
    context: Context,
    monitored: Vec<MonitoredGateway>,
    /// The tasks of removed gateways. They end after they have unregistered.
    stopping: JoinSet<()>,
    /// Each removes gateways from the peers when their grace period is over.
    peer_removals: JoinSet<()>,
}

/// One gateway and its tasks.
struct MonitoredGateway {
    state: Arc<GatewayState>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl TrunkMonitor {
    /// Starts to monitor every gateway of `trunks`, and sets the endpoint's peers.
    pub fn start(
        endpoint: &Endpoint,
        trunks: Vec<Trunk>,
        locator: Arc<dyn Locate>,
    ) -> TrunkMonitor {
        let mut monitor = TrunkMonitor {
            context: Context {
                endpoint: endpoint.clone(),
                peers: Arc::new(Peers::new(endpoint.clone())),
                locator,
            },
            monitored: Vec::new(),
            stopping: JoinSet::new(),
            peer_removals: JoinSet::new(),
        };
        monitor.replace(trunks);
        monitor
    }

    /// Monitors these trunks from now on. The tasks of a gateway continue if its state is among theirs. Other
    /// gateways are removed: their registrations end, but their calls do not.
    pub fn replace(&mut self, trunks: Vec<Trunk>) {
        let gateways = trunks.iter().flat_map(|trunk| &trunk.gateways);
        let kept: Vec<&Arc<GatewayState>> = gateways.map(|gateway| &gateway.state).collect();
        let is_kept = |state: &Arc<GatewayState>| kept.iter().any(|one| Arc::ptr_eq(one, state));
        let (kept_gateways, removed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.monitored)
            .into_iter()
            .partition(|gateway| is_kept(&gateway.state));
        self.monitored = kept_gateways;
        let peers = &self.context.peers;
        peers.replace(trunks.clone(), |gateway| is_kept(&gateway.state));
        peers.update_endpoint();
        if !removed.is_empty() {
            let peers = Arc::clone(peers);
            self.peer_removals.spawn(async move {
                tokio::time::sleep(REMOVED_GATEWAY_GRACE).await;
                peers.update_endpoint();
            });
        }
        for gateway in removed {
            gateway.stop(&mut self.stopping);
        }
        for trunk in &trunks {
            for gateway in &trunk.gateways {
                self.monitor(trunk.carrier, gateway);
            }
        }
        while self.stopping.try_join_next().is_some() {}
        while self.peer_removals.try_join_next().is_some() {}
    }

    /// Starts the gateway's tasks, unless they are running.
    fn monitor(&mut self, carrier: Carrier, gateway: &Gateway) {
        gateway.state.add_metrics(carrier.name(), &gateway.name);
        let is_same = |one: &MonitoredGateway| Arc::ptr_eq(&one.state, &gateway.state);
        if self.monitored.iter().any(is_same) {
            return;
        }
        let (stop, stopped) = watch::channel(false);
        let task = GatewayTask {
            context: self.context.clone(),
            carrier,
            gateway: gateway.clone(),
            stop: stopped,
        };
        self.monitored.push(MonitoredGateway {
            state: Arc::clone(&gateway.state),
            stop,
            tasks: task.start_all(),
        });
    }

    /// Ends all registrations and all tasks.
    pub async fn stop(mut self) {
        self.peer_removals.shutdown().await;
        for gateway in std::mem::take(&mut self.monitored) {
            gateway.stop(&mut self.stopping);
        }
        while self.stopping.join_next().await.is_some() {}
    }
}

impl MonitoredGateway {
    /// Ends the gateway's tasks. `stopping` waits for them.
    fn stop(mut self, stopping: &mut JoinSet<()>) {
        self.stop.send_replace(true);
        self.state.remove_metrics();
        stopping.spawn(async move { while self.tasks.join_next().await.is_some() {} });
    }
}
