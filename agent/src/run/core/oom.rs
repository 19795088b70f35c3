//! OOM kills: from a rung's record to the event, with whose cgroup it was.

use std::sync::Arc;

use super::Core;
use crate::events::EventDraft;
use crate::identity::identify;
use crate::kernel::{Batch, OomRing};
use crate::model::{CgroupRef, Decision, EventKind, OomKill, OomReport, Victim};
use crate::run::kills::Looked;

impl Core {
    pub(super) fn on_kills(&mut self, batch: std::io::Result<Batch<OomKill>>) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the OOM ring cannot be read any more; OOM kills are not reported");
                self.oom = None;
                return;
            }
        };
        self.check_batch(batch.missing, &batch.broken);
        // The victim's cgroup may have been made a moment ago: its record is in the other ring.
        let changes = self.drain_lifecycle();
        self.tell(changes);
        for kill in batch.events {
            self.on_kill(kill);
        }
    }

    fn on_kill(&mut self, kill: OomKill) {
        if self.kills.is_repeat(&kill) {
            return;
        }
        let known = kill.cgroup.and_then(|key| self.state.registry().oom_kill(key));
        match known {
            Some((path, identity)) => {
                let cgroup = CgroupRef { path, key: kill.cgroup, path_cut: false };
                self.state.events.append(EventDraft {
                    time: kill.time,
                    source: kill.source,
                    cgroup: Some(cgroup),
                    identity: Some(identity),
                    kind: report(kill.victim, kill.decision),
                });
            }
            None if self.kills.may_look_up() => self.kills.look_up(kill),
            None => self.append_kill(Looked { kill, path: None, found_tgid: false }),
        }
    }

    pub(super) fn on_looked_up(&mut self, looked: Looked) {
        // Whoever had its process id from the kernel was looked at before.
        if looked.found_tgid && self.kills.is_repeat(&looked.kill) {
            return;
        }
        self.append_kill(looked);
    }

    fn append_kill(&mut self, looked: Looked) {
        let Looked { kill, path, .. } = looked;
        let mut registry = self.state.registry();
        let identity = path.as_ref().and_then(|path| registry.oom_kill_at(path));
        let memory = self.kills.memory_hierarchy();
        let key = kill.cgroup.or_else(|| registry.key_of(path.as_ref()?, memory));
        drop(registry);
        // A cgroup that no walk has found yet is still whose its path says.
        let identity = identity.or_else(|| Some(Arc::new(identify(path.as_ref()?))));
        self.state.events.append(EventDraft {
            time: kill.time,
            source: kill.source,
            cgroup: path.map(|path| CgroupRef { path, key, path_cut: false }),
            identity,
            kind: report(kill.victim, kill.decision),
        });
    }
}

fn report(victim: Victim, decision: Decision) -> EventKind {
    EventKind::OomKill(Box::new(OomReport { victim, decision, last_sample: None }))
}

pub(super) async fn next_kills(ring: &mut Option<OomRing>) -> std::io::Result<Batch<OomKill>> {
    match ring {
        Some(ring) => ring.next().await,
        None => std::future::pending().await,
    }
}
