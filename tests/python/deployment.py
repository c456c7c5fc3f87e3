"""What is for operating a gateway, held against one that runs.

    python deployment.py GATEWAY

Needs promtool, and the package PyYAML.
"""

import pathlib
import subprocess
import sys

from gateway import Gateway


def main():
    check = pathlib.Path(__file__).parent.parent.parent / "deploy" / "check.py"
    gateway = Gateway(sys.argv[1])
    try:
        checked = subprocess.run([sys.executable, check, f"{gateway.admin_url}/metrics"])
    finally:
        gateway.stop()
    sys.exit(checked.returncode)


main()
