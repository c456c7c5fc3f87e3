//! Which cores do what, on Linux. Elsewhere the system decides.

/// The cores that this process may use.
#[cfg(target_os = "linux")]
pub(crate) fn cores() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn cores() -> Vec<usize> {
    Vec::new()
}

/// Keeps the current thread on these cores; on none in particular if there are none.
#[cfg(target_os = "linux")]
pub(crate) fn pin(cores: &[usize]) {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    if set.count() > 0
        && let Err(error) = sched_setaffinity(None, &set)
    {
        eprintln!("a thread could not be kept on core {cores:?}: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_cores: &[usize]) {}

/// Keeps the current thread on the core that measurements are made on: the last.
pub(crate) fn pin_to_the_measuring_core() {
    if let Some(last) = cores().last() {
        pin(&[*last]);
    }
}

/// Keeps the current thread on the others, if there are any.
pub(crate) fn keep_off_the_measuring_core() {
    if let Some((_, others)) = cores().split_last() {
        pin(others);
    }
}

/// What the processor calls itself.
pub(crate) fn model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':')).map(|(_, model)| model.trim().to_owned());
    model.unwrap_or_else(|| "an unknown processor".to_owned())
}
