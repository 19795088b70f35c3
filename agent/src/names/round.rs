//! One round of questions over a connection: the same for every runtime that has a socket.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::error::AskError;
use crate::identity::NamesAnswer;
use crate::model::PodNames;

/// A round that took longer asks no more and delivers its answers. The next round begins with newer containers.
const ROUND: Duration = Duration::from_millis(500);
/// Up to this many containers are asked about one by one. For more, a list is cheaper.
const FEW: usize = 8;
/// Questions about single containers in a round without a list.
const MANY: usize = 256;

/// A connection to a runtime, for one round.
pub(super) trait RuntimeConnection {
    /// What the runtime's list has about one container.
    type Listed;

    /// Lists all containers by id, or only the one with this id.
    async fn list(&mut self, id: Option<&str>) -> Result<HashMap<String, Self::Listed>, AskError>;

    /// Asks for what a list does not have, and adds the answer.
    async fn ask(&mut self, id: &str, listed: Self::Listed, answers: &mut Answers) -> Result<(), AskError>;
}

/// The answers of one round.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) containers: Vec<NamesAnswer>,
    pub(super) pods: Vec<(String, PodNames)>,
    pub(super) errors: u64,
    /// Why the last of them failed.
    pub(super) why: Option<AskError>,
    /// Whether the round ended before all was asked.
    pub(super) is_cut: bool,
}

impl Answers {
    pub(super) fn failed(why: AskError) -> Self {
        Self { errors: 1, why: Some(why), ..Self::default() }
    }

    pub(super) fn fail(&mut self, why: AskError) {
        self.errors += 1;
        self.why = Some(why);
    }

    /// Counts a failure that concerns one container, and gives `None` for it. Other failures end the round.
    pub(super) fn tolerate<T>(&mut self, asked: Result<T, AskError>) -> Result<Option<T>, AskError> {
        match asked {
            Err(why) if why.is_of_one() => {
                self.fail(why);
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// Asks about these containers until all are asked or the time of a round is over.
pub(super) async fn ask_all<C: RuntimeConnection>(
    connection: &mut C,
    ids: &[String],
    answers: &mut Answers,
) -> Result<(), AskError> {
    let listed = if ids.len() > FEW { answers.tolerate(connection.list(None).await)? } else { None };
    let wanted: Vec<(&String, Option<C::Listed>)> = match listed {
        Some(mut listed) => ids.iter().filter_map(|id| Some((id, Some(listed.remove(id)?)))).collect(),
        None => ids.iter().take(MANY).map(|id| (id, None)).collect(),
    };
    // The list is not part of this time: after a slow one, at least one container is asked about.
    let began = Instant::now();
    for (id, listed) in wanted {
        if began.elapsed() > ROUND {
            answers.is_cut = true;
            break;
        }
        let asked = ask_one(connection, id, listed, answers).await;
        answers.tolerate(asked)?;
    }
    Ok(())
}

async fn ask_one<C: RuntimeConnection>(
    connection: &mut C,
    id: &str,
    listed: Option<C::Listed>,
    answers: &mut Answers,
) -> Result<(), AskError> {
    let listed = match listed {
        Some(listed) => Some(listed),
        None => connection.list(Some(id)).await?.remove(id),
    };
    match listed {
        Some(listed) => connection.ask(id, listed, answers).await,
        None => Ok(()),
    }
}
