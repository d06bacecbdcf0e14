"""Certificates for tests: an authority, what it signs, and the files of both."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trustme
from cryptography import x509

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path
    leaf: x509.Certificate

    @property
    def options(self) -> tuple[str, ...]:
        """What makes a server show it."""
        return ("--tls-certificate", str(self.certificate), "--tls-key", str(self.key))


@dataclass
class Authority:
    """Signs certificates for one test, into one folder."""

    folder: Path
    signer: trustme.CA = field(default_factory=lambda: trustme.CA(key_type=trustme.KeyType.ECDSA))

    @property
    def file(self) -> Path:
        """The authority's own certificate."""
        path = self.folder / "authority.pem"
        self.signer.cert_pem.write_to_path(path)
        return path

    def pair(
        self,
        *names: str,
        stem: str = "server",
        common_name: str | None = None,
        key_type: str = "ECDSA",
        **dates: object,
    ) -> Pair:
        """A certificate for `names` with an ECDSA or RSA key; one with the same stem replaces it."""
        issued = self.signer.issue_cert(
            *names, common_name=common_name, key_type=trustme.KeyType[key_type], **dates
        )
        pair = Pair(
            self.folder / f"{stem}.pem",
            self.folder / f"{stem}.key",
            x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()),
        )
        pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(pair.key)
        return pair

    def context(self, shown: Pair | None = None) -> ssl.SSLContext:
        """What a client believes, and the certificate that it shows."""
        context = ssl.create_default_context(cafile=str(self.file))
        context.set_alpn_protocols(["http/1.1"])
        if shown:
            context.load_cert_chain(shown.certificate, shown.key)
        return context
