//! What an operator does in the course of a case.

use super::{Run, random_secret};
use crate::fixture::{Issue, WebConfig};
use crate::stack::{AdminError, Issued, NewWebConfig};
use crate::table::{self, AdminStep, Expect};
use crate::{template, token};

impl Run<'_> {
    pub(super) async fn administrate(
        &mut self,
        step: &AdminStep,
        expect: &Expect,
    ) -> Result<Option<String>, String> {
        let result = match step.what.as_str() {
            "create" => self.create(step).await,
            "regenerate" => self.regenerate(step).await,
            "allow" => {
                let id = self.config(&step.config)?.id.clone();
                self.world.running.admin.allow(&id, step.allowed_origins.clone()).await
            }
            "delete" => {
                let id = self.config(&step.config)?.id.clone();
                self.world.running.admin.delete(&id).await
            }
            other => return Err(format!("no such change: {other}")),
        };
        match (result, &expect.is) {
            (Ok(()), table::Outcome::Done) | (Err(AdminError::Denied(_)), table::Outcome::Denied) => Ok(None),
            (Ok(()), _) => Err(format!("{} {:?} was done, and may not be", step.what, step.config)),
            (Err(AdminError::Denied(why) | AdminError::Failed(why)), _) => {
                Err(format!("{} {:?}: {why}", step.what, step.config))
            }
        }
    }

    async fn create(&mut self, step: &AdminStep) -> Result<(), AdminError> {
        let failed = AdminError::Failed;
        let secret = match (&step.secret_of, step.secret_bytes) {
            (Some(name), _) => {
                let config = self.config(name).map_err(failed)?;
                config.issued.first().and_then(|issue| issue.secret.clone())
            }
            (None, length) => length.map(random_secret),
        };
        let id = match step.id.as_deref() {
            Some("none") => None,
            Some(id) => Some(self.text(id).map_err(failed)?),
            None => secret.as_ref().map(|_| template::new_uuid()),
        };
        let (account, context) = match &step.beside {
            Some(name) => {
                let config = self.config(name).map_err(failed)?;
                (config.account.clone(), config.context.clone())
            }
            None => (format!("acct-{}", self.key), format!("ctx-{}-{}", self.key, step.config)),
        };
        if let Some(secret) = &secret {
            self.world.needles().secret(secret);
        }
        let known = self.config(&step.config).ok().cloned();
        let new = NewWebConfig {
            id: id.clone(),
            secret: secret.clone(),
            account_id: account.clone(),
            context_id: context.clone(),
            name: step.config.clone(),
            allowed_origins: step.allowed_origins.clone(),
            revive: step.revive,
        };
        let issued = self.world.running.admin.create(new).await?;
        if id.is_some_and(|id| !id.eq_ignore_ascii_case(&issued.id)) {
            return Err(failed("another id than the imported one (rule W7)".to_owned()));
        }
        let last = known.as_ref().and_then(|config| config.issue(None)).map_or(0, |issue| issue.generation);
        let goes_on = known.as_ref().is_some_and(|config| config.id == issued.id);
        if goes_on && issued.generation <= last || !goes_on && issued.generation != 1 {
            return Err(failed(format!("generation {} (rules W7 and M1)", issued.generation)));
        }
        let mut config = WebConfig {
            id: issued.id.clone(),
            account,
            context,
            issued: known.filter(|_| goes_on).map(|config| config.issued).unwrap_or_default(),
        };
        let issue = self.issue(issued, secret)?;
        config.issued.push(issue);
        self.configs.insert(step.config.clone(), config);
        Ok(())
    }

    async fn regenerate(&mut self, step: &AdminStep) -> Result<(), AdminError> {
        let failed = AdminError::Failed;
        let mut config = self.config(&step.config).map_err(failed)?.clone();
        let admin = &self.world.running.admin;
        let mut all = Vec::new();
        match step.at_once.unwrap_or(1) {
            1 => all.push(admin.regenerate(&config.id).await?),
            2 => {
                let (one, two) = tokio::join!(admin.regenerate(&config.id), admin.regenerate(&config.id));
                all.extend([one?, two?]);
            }
            other => return Err(failed(format!("{other} at once is not supported"))),
        }
        all.sort_by_key(|issued| issued.generation);
        for issued in all {
            let last = config.issue(None).map_or(0, |issue| issue.generation);
            if issued.generation != last + 1 {
                return Err(failed(format!("generation {} after {last} (rule M1)", issued.generation)));
            }
            for name in &step.others {
                let other = &self.config(name).map_err(failed)?.id;
                if !issued.others.contains(other) {
                    return Err(failed(format!("Regenerate does not name {name} (rule M1)")));
                }
            }
            if issued.others.contains(&config.id) {
                return Err(failed("Regenerate names the web config itself (rule M1)".to_owned()));
            }
            config.issued.push(self.issue(issued, None)?);
        }
        self.configs.insert(step.config.clone(), config);
        Ok(())
    }

    /// Keeps what was issued, having judged its form (rule W2).
    fn issue(&self, issued: Issued, secret: Option<Vec<u8>>) -> Result<Issue, AdminError> {
        let Issued { id, generation, jwt, .. } = issued;
        let url = self.world.variant.api_url();
        // Without the secret, all but the signature can be told.
        let want = token::long_lived(&id, url, secret.as_deref().unwrap_or_default());
        let part = |token: &str| match &secret {
            Some(_) => token.to_owned(),
            None => token.rsplit_once('.').map(|(input, _)| input.to_owned()).unwrap_or_default(),
        };
        if part(&jwt) != part(&want) {
            return Err(AdminError::Failed("the long-lived token is not rule W2's".to_owned()));
        }
        let issue = Issue { generation, secret, jwt };
        self.world.keep(&issue);
        Ok(issue)
    }
}
