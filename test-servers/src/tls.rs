use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::folder::Folder;
use crate::system::{find, output, tool};

const CONFIG: &str = "
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
";

/// A certificate authority and a certificate of it for `localhost` and 127.0.0.1: `ca.crt`, `server.crt` and
/// `server.key`.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Puts them into `home`, inside the folder.
    pub(crate) fn create(folder: &Folder, home: &Path) -> Result<Self> {
        let path = |name: &str| home.join(name);
        let new =
            Self { authority: path("ca.crt"), certificate: path("server.crt"), key: path("server.key") };
        folder.write(&path("openssl.cnf"), CONFIG)?;
        let openssl = find("openssl", "openssl", &[])?;
        let request = |section: &str, name: &str, key: &Path, certificate: &Path, signer: &[&Path]| {
            let mut request = tool(&openssl, folder.account(), Duration::from_secs(60));
            request.args([
                "req",
                "-x509",
                "-days",
                "30",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ]);
            request.args(["-nodes", "-subj", &format!("/CN={name}"), "-extensions", section, "-config"]);
            request.arg(path("openssl.cnf")).arg("-keyout").arg(key).arg("-out").arg(certificate);
            if let [certificate, key] = signer {
                request.arg("-CA").arg(certificate).arg("-CAkey").arg(key);
            }
            output("openssl req", &mut request, None)
        };
        request("authority", "Test authority", &path("ca.key"), &new.authority, &[])?;
        request("server", "localhost", &new.key, &new.certificate, &[&new.authority, &path("ca.key")])?;
        Ok(new)
    }
}
