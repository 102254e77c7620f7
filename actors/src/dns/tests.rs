use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A DNS server that answers `good*` names with 192.0.2.1, says that `none*` does not exist, and ignores others.
struct Server {
    address: SocketAddr,
    ignored: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Server {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let ignored = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ignored);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                match answer(&query[..length]) {
                    Some(answer) => drop(socket.send_to(&answer, from)),
                    None => drop(counter.fetch_add(1, Ordering::Relaxed)),
                }
            }
        });
        Server { address, ignored }
    }

    fn resolver(&self) -> Resolver {
        Resolver::start(&[self.address]).unwrap()
    }
}

/// The answer to a query with one question (RFC 1035 §4.1).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name_length = query[12..].iter().position(|byte| *byte == 0)? + 1;
    let question = &query[12..12 + name_length + 4];
    let is_a = question[name_length..name_length + 2] == [0, 1];
    let starts = |label: &str| question[1..].starts_with(label.as_bytes());
    if !starts("good") && !starts("none") {
        return None;
    }
    let code = u8::from(starts("none")) * 3;
    let answers = u8::from(starts("good") && is_a);
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if answers == 1 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    }
    Some(answer)
}

fn found() -> Addresses {
    Ok(Arc::new([[192, 0, 2, 1].into()]))
}

#[tokio::test]
async fn names_and_addresses_resolve() {
    let resolver = Server::start().resolver();
    assert_eq!(resolver.lookup("good.example.com").await, found());
    assert_eq!(resolver.lookup("GOOD.example.com").await, found());
    assert_eq!(resolver.lookup("192.0.2.1").await, found());
    let none = resolver.lookup("none.example.com").await;
    assert_eq!(none, Err(DnsError::Unresolved));
}

#[tokio::test]
async fn names_without_an_answer_do_not_delay_names_that_have_resolved() {
    let server = Server::start();
    let resolver = server.resolver();
    assert_eq!(resolver.lookup("good.example.com").await, found());
    let lookups: Vec<_> = (0..8 * MAX_LOOKUPS)
        .map(|n| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.lookup(&format!("dead{n}.example.com")).await })
        })
        .collect();
    // More names than turns: the rest waits for its turn, which does not come in time.
    let mut results = Vec::new();
    assert_eq!(resolver.lookup("good.example.com").await, found());
    for lookup in lookups {
        results.push(lookup.await.unwrap());
    }
    let count = |error: DnsError| results.iter().filter(|r| **r == Err(error)).count();
    assert_eq!(count(DnsError::NoAnswer) + count(Shortage::DnsQueries.into()), 8 * MAX_LOOKUPS);
    assert!(count(DnsError::NoAnswer) >= MAX_LOOKUPS);
    assert!(count(Shortage::DnsQueries.into()) > 0);
}

#[tokio::test]
async fn lookups_of_one_name_share_its_query_and_a_failure_is_remembered() {
    let server = Server::start();
    let resolver = server.resolver();
    let lookups = (0..500).map(|_| resolver.lookup("dead.example.com"));
    for result in futures_util::future::join_all(lookups).await {
        assert_eq!(result, Err(DnsError::NoAnswer));
    }
    let queries = server.ignored.load(Ordering::Relaxed);
    assert!(queries <= 16, "{queries} queries");
    let again = resolver.lookup("dead.example.com").await;
    assert_eq!(again, Err(DnsError::NoAnswer));
    assert_eq!(server.ignored.load(Ordering::Relaxed), queries);
}
