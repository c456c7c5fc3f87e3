use std::time::Duration;

/// From so many on there is a 99th percentile to speak of.
const HUNDRED: usize = 100;

/// What came of the good client's requests.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// How long those took that succeeded, the quickest first.
    pub took: Vec<Duration>,
    /// What failed.
    pub failures: Vec<String>,
}

impl Service {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.took.len() + self.failures.len()
    }

    /// The median, in milliseconds.
    #[must_use]
    pub fn p50(&self) -> f64 {
        self.at(50)
    }

    /// All but one of a hundred were as quick as this, in milliseconds, if there are a hundred.
    #[must_use]
    pub fn p99(&self) -> Option<f64> {
        (self.took.len() >= HUNDRED).then(|| self.at(99))
    }

    /// The slowest, in milliseconds.
    #[must_use]
    pub fn slowest(&self) -> f64 {
        self.at(100)
    }

    fn at(&self, share: usize) -> f64 {
        let sample = self.took.get((self.took.len() * share).div_ceil(100).saturating_sub(1));
        sample.map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }

    /// What is not as it should be: none may be lost, and no more than one of a hundred slower than this.
    pub fn findings(&self, slow: Option<Duration>) -> Vec<String> {
        let mut findings = Vec::new();
        if self.count() == 0 {
            findings.push("no good request came to an end".to_owned());
        }
        if let Some(first) = self.failures.first() {
            findings.push(format!("{} good requests failed, {first}", self.failures.len()));
        }
        let slower = |limit: &Duration| self.took.iter().filter(|took| *took > limit).count();
        if let Some((limit, slower)) = slow.map(|limit| (limit, slower(&limit)))
            && slower > (self.count() / HUNDRED).max(1)
        {
            findings.push(format!("{slower} of {} good requests took longer than {limit:?}", self.count()));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(count: u64) -> Service {
        Service { took: (1..=count).map(Duration::from_millis).collect(), failures: Vec::new() }
    }

    #[test]
    fn a_percentile_takes_a_hundred() {
        assert_eq!((service(99).p50(), service(99).p99(), service(99).slowest()), (50.0, None, 99.0));
        assert_eq!(service(200).p99(), Some(198.0));
        assert_eq!(Service::default().slowest(), 0.0);
    }

    #[test]
    fn what_is_slow_or_lost_or_missing_is_a_finding() {
        let found = |service: &Service, limit| service.findings(Some(Duration::from_millis(limit))).len();
        assert_eq!((found(&service(300), 297), found(&service(300), 296)), (0, 1));
        assert_eq!((found(&service(50), 49), found(&service(50), 48)), (0, 1));
        assert_eq!(service(50).findings(None).len(), 0);
        assert_eq!(Service { failures: vec!["lost".to_owned()], ..service(50) }.findings(None).len(), 1);
        assert_eq!(Service::default().findings(None).len(), 1);
    }
}
