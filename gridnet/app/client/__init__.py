"""The service's client: what a device, an owner, an operator and an auditor say over the native JSON API."""

from gridnet.app.client.client import Client as Client
from gridnet.app.client.connection import Certificate as Certificate
from gridnet.app.client.connection import Patience as Patience
from gridnet.app.client.connection import Secret as Secret
from gridnet.app.client.errors import ClientError as ClientError
from gridnet.app.client.errors import Refused as Refused
from gridnet.app.client.errors import Unreachable as Unreachable
from gridnet.app.client.follow import Follower as Follower
from gridnet.app.client.follow import Told as Told
