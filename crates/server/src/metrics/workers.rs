//! What a supervisor tells of its workers, beside their numbers.

use std::fmt;

use super::exposition::Exposition;

/// How many workers there are, what became of others, and how reloads went.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkersTold {
    /// By how far they have come.
    pub(crate) workers: Vec<(&'static str, u64)>,
    /// Workers that had to be replaced, by the reason.
    pub(crate) restarts: Vec<(&'static str, u64)>,
    pub(crate) generation: u64,
    pub(crate) reloaded: u64,
    pub(crate) reloads_failed: u64,
    /// When the last reload was over, in seconds since 1970, and why it failed if it did.
    pub(crate) last_reload: Option<(u64, Option<String>)>,
}

/// So much is told of a reason.
const REASON: usize = 300;

impl fmt::Display for WorkersTold {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = &mut Exposition(formatter);
        out.family("workers", "gauge", "Worker processes.")?;
        for (state, number) in &self.workers {
            out.labelled("workers", "state", state, *number)?;
        }
        out.family("worker_restarts_total", "counter", "Workers that were replaced, reloads apart.")?;
        for (reason, number) in &self.restarts {
            out.labelled("worker_restarts_total", "reason", reason, *number)?;
        }
        out.number(
            "generation",
            "gauge",
            "The generation that serves; 0 before the first.",
            self.generation,
        )?;
        out.family("reloads_total", "counter", "Reloads that are over.")?;
        out.labelled("reloads_total", "outcome", "ok", self.reloaded)?;
        out.labelled("reloads_total", "outcome", "failed", self.reloads_failed)?;
        let Some((at, failed)) = &self.last_reload else { return Ok(()) };
        let is_ok = u64::from(failed.is_none());
        out.number("last_reload_successful", "gauge", "Whether the last reload went well.", is_ok)?;
        out.number("last_reload_timestamp_seconds", "gauge", "When the last reload was over.", *at)?;
        let Some(reason) = failed else { return Ok(()) };
        let name = "last_reload_failure_info";
        out.family(name, "gauge", "Why the last reload failed.")?;
        out.labelled(name, "reason", &reason.chars().take(REASON).collect::<String>(), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_reload_is_told_with_its_reason() {
        let failed = Some((1_795_355_255, Some("no module named \"site\"".to_owned())));
        let told =
            WorkersTold { reloads_failed: 1, last_reload: failed, ..WorkersTold::default() }.to_string();
        for line in [
            "onionskin_reloads_total{outcome=\"failed\"} 1",
            "onionskin_last_reload_successful 0",
            "onionskin_last_reload_timestamp_seconds 1795355255",
            r#"onionskin_last_reload_failure_info{reason="no module named \"site\""} 1"#,
        ] {
            assert!(told.lines().any(|each| each == line), "{line} is not in\n{told}");
        }
    }

    #[test]
    fn before_a_reload_there_is_nothing_to_tell_of_it() {
        assert!(!WorkersTold::default().to_string().contains("last_reload"));
    }
}
