"""What is for operating a gateway, held against one that runs.

    python deployment.py GATEWAY

Needs promtool, openssl, and the package PyYAML.
"""

import pathlib
import subprocess
import sys
import tempfile

from certificates import Authority
from gateway import Gateway


def main():
    check = pathlib.Path(__file__).parent.parent.parent / "deploy" / "check.py"
    with tempfile.TemporaryDirectory() as folder:
        # With TLS, so that it has the metrics of that too.
        pem, key = Authority(folder).sign("gateway")
        gateway = Gateway(sys.argv[1], "--tls-cert", pem, "--tls-key", key)
        try:
            checked = subprocess.run([sys.executable, check, f"{gateway.admin_url}/metrics"])
        finally:
            gateway.stop()
    sys.exit(checked.returncode)


main()
