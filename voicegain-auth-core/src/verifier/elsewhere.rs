//! Of which deployment a token is that is none of this one's, as far as it can be told.

use std::fmt::Write as _;

use super::explanation::{Check, Explanation, shown};

impl Explanation {
    /// Says of a token whose web config does not live here which API its `aud` names, and whether that is this deployment's
    /// or one of the others that are known: each by its name and the API URL that it says it has, if it has answered. Adds to what the step of the
    /// web config says; does nothing where [`unverified_api_url`](Self::unverified_api_url) is `None`. For the operator alone:
    /// clients are told nothing of it (rule V5).
    pub fn compare_deployments<'a>(
        &mut self,
        own_api_url: &str,
        others: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) {
        let Some(theirs) = self.unverified_api_url.as_deref() else { return };
        let Some(step) = self.steps.iter_mut().find(|step| step.check == Check::WebConfig) else { return };
        let text = &mut step.compared;
        let own = shown(own_api_url);
        text.push_str(
            " Not verified, since there is no secret here to check it with: by its `aud` it is a token of ",
        );
        // Writing into a String does not fail.
        if same(theirs, &own) {
            let _ =
                write!(text, "this deployment's API, {own}, or of another one that calls its API the same.");
            return;
        }
        let _ = write!(text, "the API {theirs}, and this deployment's is {own}.");
        let (mut with_it, mut unknown, mut are_others) = (Vec::new(), Vec::new(), false);
        for (name, api_url) in others {
            are_others = true;
            match api_url {
                Some(api_url) if same(theirs, &shown(api_url)) => with_it.push(name),
                Some(_) => {}
                None => unknown.push(name),
            }
        }
        if !with_it.is_empty() {
            let with_it = with_it.join(", ");
            let _ = write!(
                text,
                " That is the API of Edge {with_it}, whose gateway takes the token if it is in force there."
            );
        } else if are_others {
            text.push_str(" No Edge that is configured here and has answered has that API");
            let _ = match unknown.is_empty() {
                true => write!(text, "."),
                false => write!(text, "; no status came from {}.", unknown.join(", ")),
            };
        }
    }
}

/// Whether two API URLs are one. A slash at the end makes no difference to those who call it.
fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::testing::TestHead;
    use crate::jws::sign;
    use crate::mac::MacKey;
    use crate::testing::{API_URL, World};
    use crate::{Policy, Secret};

    const EDGE: &str = "https://edge.example/ascalon-web-api";
    const STRANGE: &str = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";

    /// A token of another deployment, with this before its `sub`.
    fn foreign(members: &str) -> TestHead {
        let key = MacKey::new(&Secret::generate().unwrap());
        let token = sign(&key, &format!(r#"{{{members}"sub":"{STRANGE}"}}"#));
        TestHead::get("/v1/x").with("host", "api.example.net").bearer(&token)
    }

    async fn explained(head: &TestHead) -> Explanation {
        World::new().await.verifier(Policy::default()).explain(head).await
    }

    fn told(explanation: &Explanation, others: &[(&str, Option<&str>)]) -> String {
        let mut explanation = explanation.clone();
        explanation.compare_deployments(API_URL, others.iter().copied());
        explanation.steps[Check::WebConfig as usize].compared.clone()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn w2_a_token_of_another_deployment_is_told_by_its_unverified_api_url() {
        let explanation = explained(&foreign_aud(EDGE)).await;
        assert_eq!(explanation.unverified_api_url.as_deref(), Some(EDGE));
        let alone = told(&explanation, &[]);
        for words in
            [STRANGE, "none of this id", "Not verified", EDGE, &format!("this deployment's is {API_URL}.")]
        {
            assert!(alone.contains(words), "{words}: {alone}");
        }
        assert!(!alone.contains("Edge "), "{alone}");
        let others = [
            ("down", None),
            ("far", Some("https://far.example/v1")),
            ("near", Some("https://edge.example/ascalon-web-api/")),
        ];
        let known = told(&explanation, &others);
        assert!(known.contains("That is the API of Edge near, ") && !known.contains("far"), "{known}");
        let unknown = told(&explanation, &others[..2]);
        assert!(unknown.ends_with(" has that API; no status came from down."), "{unknown}");

        let own = told(&explained(&foreign_aud(API_URL)).await, &others);
        assert!(
            own.contains("Not verified") && own.contains("another one that calls its API the same"),
            "{own}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn v3_nothing_else_that_is_not_verified_is_told() {
        for members in [
            // Whose `aud` is that of a page.
            r#""aud":"https://page.example","exp":99999999999,"#,
            r#""aud":["https://one.example","https://two.example"],"#,
            r#""aud":"","#,
            "",
        ] {
            let explanation = explained(&foreign(members)).await;
            let before = explanation.steps[Check::WebConfig as usize].compared.clone();
            assert_eq!(explanation.unverified_api_url, None, "{members}");
            assert_eq!(told(&explanation, &[("near", Some("https://page.example"))]), before, "{members}");
        }
        // Not of a web config that lives here, nor of a request that never came so far.
        let world = World::new().await;
        let verifier = world.verifier(Policy::default());
        let id = world.create().await.config.id;
        let key = MacKey::new(&Secret::generate().unwrap());
        let forged = sign(&key, &format!(r#"{{"aud":"{EDGE}","sub":"{id}"}}"#));
        let head = TestHead::get("/v1/x").with("host", "api.example.net").bearer(&forged);
        assert!(!format!("{:?}", verifier.explain(&head).await).contains(EDGE));
        let not_found = crate::Rejection::new(crate::Reason::NotFound, "Nothing is there.");
        let foreign = foreign_aud(EDGE);
        assert_eq!(verifier.explain_refusal(&foreign, None, not_found).unverified_api_url, None);
        // What turns a line around is written out, and what looks like a token does not show.
        let strange = explained(&foreign_aud("https://\u{202e}.example\\n")).await.unverified_api_url;
        assert_eq!(strange.as_deref(), Some("https://\\u{202e}.example\\n"));
        let hidden = explained(&foreign_aud("https://eyJhbGciOiJIUzI1NiJ9.example")).await.unverified_api_url;
        assert!(hidden.is_some_and(|hidden| hidden.starts_with("(not shown")));
    }

    fn foreign_aud(aud: &str) -> TestHead {
        foreign(&format!(r#""aud":"{aud}","#))
    }
}
