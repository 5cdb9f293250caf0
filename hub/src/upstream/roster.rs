//! Which channels there are.
//!
//! Duty: one [`Channel`] for each of the site's. One that did not change keeps its sockets, but for those that are more or fewer than before.
//! Invariant: a channel ends with the roster, or when the site no longer has it so.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::channel::{Board, Channel};
use super::dial::Dialler;
use super::{Lines, Parts, Status};
use crate::{Site, Task, WsChannel};

/// The task's state, in one of its lives.
pub(super) struct Roster {
    parts: Parts,
    dialler: Arc<Dialler>,
    lines: watch::Sender<Arc<Lines>>,
    board: Board,
    running: BTreeMap<Arc<str>, Running>,
}

struct Running {
    channel: Arc<Channel>,
    task: JoinHandle<()>,
}

impl Roster {
    pub(super) fn new(
        parts: Parts,
        dialler: Arc<Dialler>,
        lines: watch::Sender<Arc<Lines>>,
        status: watch::Sender<Arc<Status>>,
    ) -> Self {
        let board = Board { status, notices: parts.notices.clone() };
        Self { parts, dialler, lines, board, running: BTreeMap::new() }
    }

    /// Until nobody says any more what there is.
    pub(super) async fn run(mut self) {
        let mut site = self.parts.site.clone();
        site.mark_changed();
        while site.changed().await.is_ok() {
            let site = Arc::clone(&site.borrow_and_update());
            self.follow(&site);
        }
        // Whoever made the site is gone; the channels are served until we go too.
        std::future::pending::<()>().await;
    }

    fn follow(&mut self, site: &Site) {
        // At least one, or no call could ever be made.
        let sockets = site.limits.provider_sockets.max(1);
        self.running.retain(|_, running| site.channels.contains(&running.channel.spec));
        for spec in &site.channels {
            if let Some(running) = self.running.get(&spec.id) {
                running.channel.resize(sockets);
            } else {
                let running = self.start(spec.clone(), sockets);
                self.running.insert(Arc::clone(&spec.id), running);
            }
        }
        let lines = self.running.iter().map(|(id, running)| (Arc::clone(id), running.channel.line()));
        self.lines.send_replace(Arc::new(lines.collect()));
    }

    fn start(&self, spec: WsChannel, sockets: usize) -> Running {
        let channel = Channel::new(spec, sockets, self.board.clone());
        let (run, supervisor, dialler) =
            (Arc::clone(&channel), Arc::clone(&self.parts.supervisor), Arc::clone(&self.dialler));
        let start = move || -> Task { Box::pin(Arc::clone(&run).run(Arc::clone(&supervisor), Arc::clone(&dialler))) };
        Running { channel, task: tokio::spawn(self.parts.supervisor.keep_up("upstream", Box::new(start))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.channel.retire();
    }
}
