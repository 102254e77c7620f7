//! Threads that recognise what callers say, separate from the thread that moves packets.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use tokio::sync::broadcast;

use crate::sandbox::events::{CallId, CallNumber, CallRecord, EndedCall, SandboxEvent};
use crate::sandbox::recogniser::{Recogniser, Vocabulary};
use crate::sandbox::recording;
use crate::speech::prompts::PromptSet;

/// Input from the media thread and the SIP server. Per call: `Listen`, any number of `Audio`,
/// `Ended`.
pub(crate) enum ListenerInput {
    Listen {
        call: CallNumber,
        call_id: CallId,
    },
    /// Received audio, 8 kHz mono, in order and without gaps.
    Audio {
        call: CallNumber,
        samples: Vec<i16>,
    },
    /// Also sent for calls that were not listened to.
    Ended(EndedCall),
}

/// The handle of the threads. They end when the last clone is dropped.
///
/// The queues are bounded by what live calls have sent and the threads have not processed yet: 90 s
/// of audio per call.
#[derive(Clone)]
pub(crate) struct Listener {
    queues: Arc<[Sender<ListenerInput>]>,
}

impl Listener {
    /// Starts one thread per core, at most four.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        record_dir: Option<PathBuf>,
        voice: Option<&'static PromptSet>,
        events: &broadcast::Sender<SandboxEvent>,
    ) -> io::Result<(Listener, Vec<JoinHandle<()>>)> {
        // Building a vocabulary takes long; the built-in one is built when the first call is
        // listened to.
        let vocabulary = voice.map(|voice| Arc::new(Vocabulary::new(voice)));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for _ in 0..cores.min(4) {
            let (queue, inputs) = mpsc::channel();
            let listener = ListenerThread {
                record_dir: record_dir.clone(),
                vocabulary: vocabulary.clone(),
                events: events.clone(),
                calls: HashMap::new(),
            };
            let thread = thread::Builder::new().name("sandbox-listen".into());
            threads.push(thread.spawn(move || listener.run(&inputs))?);
            queues.push(queue);
        }
        let queues = queues.into();
        Ok((Listener { queues }, threads))
    }

    /// Sends `input` to the thread of its call.
    pub fn send(&self, input: ListenerInput) {
        let call = match &input {
            ListenerInput::Listen { call, .. } | ListenerInput::Audio { call, .. } => *call,
            ListenerInput::Ended(ended) => ended.call,
        };
        let queue = &self.queues[(call % self.queues.len() as u64) as usize];
        if queue.send(input).is_err() {
            tracing::error!("a sandbox listener thread has ended: a call is not recognised");
        }
    }
}

struct ListenerThread {
    record_dir: Option<PathBuf>,
    /// If it differs from that of the built-in prompts.
    vocabulary: Option<Arc<Vocabulary>>,
    events: broadcast::Sender<SandboxEvent>,
    calls: HashMap<CallNumber, ListenedCall>,
}

/// A call that is being listened to.
struct ListenedCall {
    call_id: CallId,
    recogniser: Recogniser,
    samples: Vec<i16>,
}

impl ListenerThread {
    fn run(mut self, inputs: &Receiver<ListenerInput>) {
        for input in inputs {
            match input {
                ListenerInput::Listen { call, call_id } => {
                    let vocabulary = self.vocabulary.clone();
                    let recogniser =
                        vocabulary.map_or_else(Recogniser::new, Recogniser::with_vocabulary);
                    let listened = ListenedCall { call_id, recogniser, samples: Vec::new() };
                    self.calls.insert(call, listened);
                }
                ListenerInput::Audio { call, samples } => self.recognise(call, &samples),
                ListenerInput::Ended(ended) => self.finish(ended),
            }
        }
    }

    fn recognise(&mut self, call: CallNumber, samples: &[i16]) {
        let Some(listened) = self.calls.get_mut(&call) else {
            return;
        };
        listened.samples.extend_from_slice(samples);
        for word in listened.recogniser.push(samples) {
            let Some(digit) = word.digit() else { continue };
            // Fails only without subscribers.
            let _ = self
                .events
                .send(SandboxEvent::DigitHeard { call_id: listened.call_id.clone(), digit });
        }
    }

    fn finish(&mut self, ended: EndedCall) {
        let (digits_heard, samples) = match self.calls.remove(&ended.call) {
            Some(listened) => (listened.recogniser.finish().digits, listened.samples),
            None => (String::new(), Vec::new()),
        };
        let mut record = CallRecord {
            call_id: ended.call_id.clone(),
            phone: ended.phone,
            digits_heard,
            answered: ended.answered,
            talk_time: ended.talk_time,
            samples: samples.into(),
            wav: None,
        };
        if let Some(dir) = &self.record_dir {
            record.wav = save(dir, &record);
        }
        // Fails only without subscribers.
        let _ = self
            .events
            .send(SandboxEvent::Finished { call_id: ended.call_id, record: Arc::new(record) });
    }
}

fn save(dir: &Path, record: &CallRecord) -> Option<PathBuf> {
    match recording::save(dir, record) {
        Ok(wav) => Some(wav),
        Err(error) => {
            tracing::error!(dir = %dir.display(), %error, "cannot save a sandbox call");
            None
        }
    }
}
