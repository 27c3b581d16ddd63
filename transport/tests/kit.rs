//! The timers and transports of this crate keep what their traits say.

use quorate_core::NodeId;
use quorate_sim::kit;
use quorate_transport::{Network, ThreadTimer};

#[test]
fn a_thread_is_a_timer() {
    kit::timer::check(|| ThreadTimer::start().expect("there are threads")).expect_passed();
}

#[test]
fn a_network_in_memory_is_a_transport() {
    let make = || {
        let network = Network::new();
        [1, 2].map(NodeId).map(|id| (id, network.join(id)))
    };
    kit::transport::check(make).expect_passed();
}

#[cfg(feature = "smol")]
#[test]
fn smol_is_a_timer() {
    kit::timer::check(quorate_transport::SmolTimer::new).expect_passed();
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use std::collections::BTreeMap;
    use std::future::Future;
    use std::net::TcpListener;

    use bytes::Bytes;
    use quorate_core::{Closed, NodeId, Transport};
    use quorate_sim::kit;
    use quorate_transport::TokioTimer;
    use quorate_transport::tcp::{Config, Tcp, tcp};
    use tokio::runtime::Runtime;
    use tokio::task::JoinHandle;

    /// A node that runs until it is dropped.
    struct Node {
        tcp: Tcp,
        task: JoinHandle<()>,
    }

    impl Transport for Node {
        fn send(&self, to: NodeId, frame: Bytes) -> impl Future<Output = ()> + Send {
            self.tcp.send(to, frame)
        }

        fn recv(&self) -> impl Future<Output = Result<(NodeId, Bytes), Closed>> + Send {
            self.tcp.recv()
        }
    }

    impl Drop for Node {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    /// Makes two nodes, at ports that were free a moment ago.
    fn pair() -> [(NodeId, Node); 2] {
        let listeners =
            [1, 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("there is a free port"));
        let addresses = listeners.each_ref().map(|it| it.local_addr().expect("it is bound"));
        drop(listeners);
        let ids = [1, 2].map(NodeId);
        let addresses: BTreeMap<_, _> = ids.into_iter().zip(addresses).collect();
        ids.map(|id| {
            let config = Config::new(id, addresses[&id], addresses.clone(), 1);
            let (tcp, running) = tcp(config).expect("the port is still free");
            (id, Node { tcp, task: tokio::spawn(running) })
        })
    }

    #[test]
    fn tokio_is_a_timer() {
        let runtime = Runtime::new().expect("there are threads");
        let _guard = runtime.enter();
        kit::timer::check(TokioTimer::new).expect_passed();
    }

    #[test]
    fn tcp_is_a_transport() {
        let runtime = Runtime::new().expect("there are threads");
        let _guard = runtime.enter();
        kit::transport::check(pair).expect_passed();
    }
}
