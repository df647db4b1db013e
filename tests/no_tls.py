"""For clients of servers on this machine.

httpx reads all certificates of the machine for each client, also where there is no TLS: twenty times the work of a request.
"""

from __future__ import annotations

import ssl
from typing import Final

#: What `verify` of httpx may be where no connection is encrypted.
NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
