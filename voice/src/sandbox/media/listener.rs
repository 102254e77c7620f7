//! Threads that understand what callers say, apart from those that move packets.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nexo_domain::phone::Phone;
use tokio::sync::broadcast;

use crate::sandbox::events::{CallId, CallRecord, SandboxEvent};
use crate::sandbox::recogniser::{Recogniser, Vocabulary};
use crate::sandbox::recording;
use crate::speech::prompts::PromptSet;

/// The callee's own number of a call.
pub(in crate::sandbox) type CallNumber = u64;

/// A call that is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::sandbox) struct EndedCall {
    pub call: CallNumber,
    pub call_id: CallId,
    pub phone: Phone,
    pub answered: bool,
    pub talked: Duration,
}

/// What the media thread and the callee send here. Per call: `Listen`, any number of `Audio`, `Ended`.
pub(in crate::sandbox) enum EarInput {
    Listen {
        call: CallNumber,
        call_id: CallId,
    },
    /// Received audio, 8 kHz mono, in order and without gaps.
    Audio {
        call: CallNumber,
        samples: Vec<i16>,
    },
    /// Also of calls that nobody listened to.
    Ended(EndedCall),
}

/// The way to the threads. Cloned freely; the threads end when the last clone is gone.
///
/// The queues hold at most what the live calls have sent and the threads have not understood yet:
/// 90 s of audio a call.
#[derive(Clone)]
pub(in crate::sandbox) struct Ears {
    queues: Arc<[Sender<EarInput>]>,
}

impl Ears {
    /// Starts a thread a core, at most four.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn start(
        record_dir: Option<PathBuf>,
        voice: Option<&'static PromptSet>,
        events: &broadcast::Sender<SandboxEvent>,
    ) -> io::Result<(Ears, Vec<JoinHandle<()>>)> {
        // Learning takes long: the built-in voice is learnt when the first call is heard.
        let vocabulary = voice.map(|voice| Arc::new(Vocabulary::of(voice)));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..cores.min(4) {
            let (queue, inputs) = mpsc::channel();
            let listener = Listener {
                record_dir: record_dir.clone(),
                vocabulary: vocabulary.clone(),
                events: events.clone(),
                heard: HashMap::new(),
            };
            let thread = thread::Builder::new().name("sandbox-ear".into());
            threads.push(thread.spawn(move || listener.run(&inputs))?);
            queues.push(queue);
        }
        let queues = queues.into();
        Ok((Ears { queues }, threads))
    }

    /// Hands `input` to the thread that listens to its call.
    pub fn send(&self, input: EarInput) {
        let call = match &input {
            EarInput::Listen { call, .. } | EarInput::Audio { call, .. } => *call,
            EarInput::Ended(ended) => ended.call,
        };
        let queue = &self.queues[(call % self.queues.len() as u64) as usize];
        if queue.send(input).is_err() {
            tracing::error!("a sandbox listener is gone: a call goes unheard");
        }
    }
}

struct Listener {
    record_dir: Option<PathBuf>,
    /// Where it is another than that of the built-in voice.
    vocabulary: Option<Arc<Vocabulary>>,
    events: broadcast::Sender<SandboxEvent>,
    heard: HashMap<CallNumber, Hearing>,
}

/// One call being listened to.
struct Hearing {
    call_id: CallId,
    recogniser: Recogniser,
    samples: Vec<i16>,
}

impl Listener {
    fn run(mut self, inputs: &Receiver<EarInput>) {
        for input in inputs {
            match input {
                EarInput::Listen { call, call_id } => {
                    let vocabulary = self.vocabulary.clone();
                    let recogniser = vocabulary.map_or_else(Recogniser::new, Recogniser::knowing);
                    let hearing = Hearing {
                        call_id,
                        recogniser,
                        samples: Vec::new(),
                    };
                    self.heard.insert(call, hearing);
                }
                EarInput::Audio { call, samples } => self.hear(call, &samples),
                EarInput::Ended(ended) => self.finish(ended),
            }
        }
    }

    fn hear(&mut self, call: CallNumber, samples: &[i16]) {
        let Some(hearing) = self.heard.get_mut(&call) else {
            return;
        };
        hearing.samples.extend_from_slice(samples);
        for word in hearing.recogniser.push(samples) {
            let Some(digit) = word.digit() else { continue };
            // Nobody need be watching.
            let _ = self.events.send(SandboxEvent::DigitHeard {
                call_id: hearing.call_id.clone(),
                digit,
            });
        }
    }

    fn finish(&mut self, ended: EndedCall) {
        let (digits_heard, samples) = match self.heard.remove(&ended.call) {
            Some(hearing) => (hearing.recogniser.finish().digits, hearing.samples),
            None => (String::new(), Vec::new()),
        };
        let mut record = CallRecord {
            call_id: ended.call_id.clone(),
            phone: ended.phone,
            digits_heard,
            answered: ended.answered,
            talked: ended.talked,
            samples: samples.into(),
            wav: None,
        };
        if let Some(dir) = &self.record_dir {
            record.wav = saved(dir, &record);
        }
        // Nobody need be watching.
        let _ = self.events.send(SandboxEvent::Finished {
            call_id: ended.call_id,
            record: Arc::new(record),
        });
    }
}

fn saved(dir: &Path, record: &CallRecord) -> Option<PathBuf> {
    match recording::save(dir, record) {
        Ok(wav) => Some(wav),
        Err(error) => {
            tracing::error!(dir = %dir.display(), %error, "cannot save a sandbox call");
            None
        }
    }
}
