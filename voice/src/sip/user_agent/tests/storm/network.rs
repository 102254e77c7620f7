//! A network that loses, repeats, delays and reorders datagrams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::*;

/// A datagram in flight: its arrival time, its number, the index of the destination call (`None`: us), and its
/// bytes.
pub type Flight = (Instant, u64, Option<usize>, Vec<u8>);

/// The properties of a network.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub loss: f64,
    pub repeats: bool,
    pub delays: bool,
    pub reorders: bool,
}

impl Weather {
    /// Each combination occurs for one seed in 32.
    pub fn for_seed(seed: u64) -> Weather {
        Weather {
            loss: [0.0, 0.05, 0.2, 0.4][(seed % 4) as usize],
            repeats: seed & 4 != 0,
            delays: seed & 8 != 0,
            reorders: seed & 16 != 0,
        }
    }

    fn delay(self, random: &mut StdRng) -> Duration {
        let minimum = if self.delays { 150 } else { 1 };
        let jitter = if self.reorders { random.random_range(0..150) } else { 0 };
        Duration::from_millis(minimum + jitter)
    }
}

pub struct Network {
    pub random: StdRng,
    pub weather: Weather,
    pub in_flight: BinaryHeap<Reverse<Flight>>,
    sent: u64,
    /// The index of the call and the To tag of each BYE.
    pub byes: Vec<(usize, String)>,
}

impl Network {
    pub fn new(weather: Weather, random: StdRng) -> Network {
        Network { random, weather, in_flight: BinaryHeap::new(), sent: 0, byes: Vec::new() }
    }

    /// Sends a datagram to the far end of the call with index `far`, or to us.
    pub fn send(&mut self, now: Instant, far: Option<usize>, bytes: &[u8]) {
        if let (Some(index), Ok(Message::Request(request))) = (far, Message::parse(bytes))
            && request.method() == Method::Bye
        {
            let tag = request.to_tag().unwrap_or_default();
            self.byes.push((index, tag.to_owned()));
        }
        let copies = 1 + u32::from(self.weather.repeats && self.random.random_bool(0.1));
        for _ in 0..copies {
            if self.random.random_bool(self.weather.loss) {
                continue;
            }
            self.sent += 1;
            let delay = self.weather.delay(&mut self.random);
            let flight = (now + delay, self.sent, far, bytes.to_vec());
            self.in_flight.push(Reverse(flight));
        }
    }
}
