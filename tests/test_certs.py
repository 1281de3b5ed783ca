import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from labkit import certs
from labkit.errors import CertificateError

NAME = "default.emojivoto.serviceaccount.identity.linkerd.cluster.local"
KeyUsage, Basic = x509.KeyUsage, x509.BasicConstraints


@pytest.fixture(scope="module")
def root():
    return certs.create_root()


@pytest.fixture(scope="module")
def issuer(root):
    return certs.create_issuer(root)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def usages(certificate):
    usage = extension(certificate, KeyUsage)
    names = ("digital_signature", "key_cert_sign", "crl_sign", "key_encipherment", "key_agreement")
    return usage.critical, {name for name in names if getattr(usage.value, name)}


def test_a_root_is_what_step_makes_with_the_profile_root_ca(root):
    certificate = root.x509
    basic = extension(certificate, Basic)
    assert (basic.critical, basic.value) == (True, Basic(ca=True, path_length=1))
    assert usages(certificate) == (True, {"key_cert_sign", "crl_sign"})
    assert certificate.subject.rfc4514_string() == "CN=root.linkerd.cluster.local"
    assert certificate.issuer == certificate.subject
    assert extension(certificate, x509.SubjectKeyIdentifier)
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)


def test_an_issuer_is_what_step_makes_with_the_profile_intermediate_ca(root, issuer):
    certificate = issuer.x509
    basic = extension(certificate, Basic)
    assert (basic.critical, basic.value) == (True, Basic(ca=True, path_length=0))
    assert usages(certificate) == (True, {"key_cert_sign", "crl_sign"})
    assert certificate.subject.rfc4514_string() == "CN=identity.linkerd.cluster.local"
    own = extension(root.x509, x509.SubjectKeyIdentifier).value.digest
    assert extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier == own
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=366)


def test_serial_numbers_differ_and_fit_rfc_5280(root, issuer):
    serials = {root.x509.serial_number, issuer.x509.serial_number}
    assert len(serials) == 2
    assert all(0 < serial < 2**159 for serial in serials)


def test_an_issuer_never_outlives_its_root():
    short = certs.create_root(valid_for=timedelta(days=1))
    assert certs.create_issuer(short).not_after <= short.not_after


def test_a_leaf_is_accepted_by_an_independent_verifier_for_server_and_client(root, issuer):
    leaf = certs.create_leaf(issuer, dns_names=[NAME])
    chain = x509.load_pem_x509_certificates(leaf.certificate)
    builder = verification.PolicyBuilder().store(verification.Store([root.x509]))
    server = builder.build_server_verifier(x509.DNSName(NAME))
    assert server.verify(chain[0], chain[1:])[-1] == root.x509
    verified = builder.build_client_verifier().verify(chain[0], chain[1:])
    assert [name.value for name in verified.subjects] == [NAME]


def test_an_independent_verifier_refuses_the_leaf_of_another_root(issuer):
    leaf = certs.create_leaf(issuer, dns_names=[NAME])
    chain = x509.load_pem_x509_certificates(leaf.certificate)
    store = verification.Store([certs.create_root().x509])
    verifier = verification.PolicyBuilder().store(store).build_server_verifier(x509.DNSName(NAME))
    with pytest.raises(verification.VerificationError):
        verifier.verify(chain[0], chain[1:])


def test_a_leaf_without_a_subject_has_critical_names_and_lives_24_hours(issuer):
    leaf = certs.create_leaf(issuer, dns_names=[NAME]).x509
    names = extension(leaf, x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.DNSName) == [NAME]
    assert usages(leaf) == (True, {"digital_signature"})
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert timedelta(hours=24) <= lifetime <= timedelta(hours=24, minutes=1)


def test_a_leaf_can_be_for_one_direction_only(issuer):
    leaf = certs.create_leaf(issuer, ip_addresses=["127.0.0.1"], client=False).x509
    assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_leaf_without_any_name_is_refused(issuer):
    with pytest.raises(CertificateError, match="needs a DNS name"):
        certs.create_leaf(issuer)


def test_a_leaf_of_a_root_carries_no_root_in_its_chain(root):
    leaf = certs.create_leaf(root, dns_names=["localhost"])
    assert len(certs.load_chain(leaf.certificate)) == 1


def test_a_signed_request_is_for_the_name_that_was_asked_and_the_key_that_asked(root, issuer):
    csr, key = certs.create_csr(NAME)
    chain = certs.sign_csr(issuer, csr, dns_name=NAME)
    leaf, second = certs.load_chain(chain)
    assert second == issuer.x509
    assert leaf.public_key() == certs.load_key(key).public_key()
    certs.verify_chain(chain, root.certificate)


def test_a_request_for_another_name_is_refused_with_the_name(issuer):
    csr, _ = certs.create_csr("evil.emojivoto.serviceaccount.identity.linkerd.cluster.local")
    with pytest.raises(CertificateError, match=f"must ask for {NAME}") as caught:
        certs.sign_csr(issuer, csr, dns_name=NAME)
    assert "evil" in caught.value.seen


def test_a_request_for_two_names_is_refused(issuer):
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("other")])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(names, critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    with pytest.raises(CertificateError, match="nothing else"):
        certs.sign_csr(issuer, csr, dns_name=NAME)


def test_a_damaged_request_is_refused(issuer):
    with pytest.raises(CertificateError, match="not a certificate signing request"):
        certs.sign_csr(issuer, b"nonsense", dns_name=NAME)


def test_an_issuer_chains_to_its_root(root, issuer):
    certs.verify_chain(issuer.certificate, root.certificate)


def test_a_chain_is_found_in_a_bundle_of_several_anchors(root, issuer):
    bundle = certs.create_root().certificate + root.certificate
    certs.verify_chain(issuer.certificate, bundle)
    leaf = certs.create_leaf(issuer, dns_names=[NAME])
    certs.verify_chain(leaf.certificate, root.certificate + certs.create_root().certificate)


def test_a_root_is_its_own_anchor(root):
    certs.verify_chain(root.certificate, root.certificate)


def test_an_issuer_of_another_root_of_the_same_name_is_refused(issuer):
    with pytest.raises(CertificateError, match="does not chain to the trust anchor"):
        certs.verify_chain(issuer.certificate, certs.create_root().certificate)


def test_a_leaf_without_its_issuer_is_refused(root, issuer):
    leaf = certs.create_leaf(issuer, dns_names=[NAME])
    alone = leaf.x509.public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CertificateError, match="does not chain"):
        certs.verify_chain(alone, root.certificate)


@pytest.mark.parametrize(
    ("offset", "words"),
    [(timedelta(days=400), "has expired"), (timedelta(days=-1), "is not valid yet")],
    ids=["later", "earlier"],
)
def test_a_chain_outside_its_validity_is_refused_with_the_dates(root, issuer, offset, words):
    with pytest.raises(CertificateError, match=words) as caught:
        certs.verify_chain(issuer.certificate, root.certificate, at=datetime.now(UTC) + offset)
    assert f"{issuer.not_after:%Y-%m-%d %H:%M}" in caught.value.seen


def test_an_issuer_below_an_issuer_is_too_long_a_chain(root, issuer):
    second = certs.create_issuer(issuer, "second")
    leaf = certs.create_leaf(second, dns_names=[NAME])
    chain = leaf.certificate + issuer.certificate
    with pytest.raises(CertificateError, match="too long"):
        certs.verify_chain(chain, root.certificate)


def test_an_issuer_below_an_issuer_is_refused_before_it_signs_anything(root, issuer):
    second = certs.create_issuer(issuer, "second")
    with pytest.raises(CertificateError, match="too long"):
        certs.verify_chain(second.certificate + issuer.certificate, root.certificate)


def test_a_leaf_cannot_sign(root, issuer):
    leaf = certs.create_leaf(issuer, dns_names=["signer"], common_name="signer")
    forged = certs.create_leaf(leaf, dns_names=[NAME])
    with pytest.raises(CertificateError, match="is not a CA"):
        certs.verify_chain(forged.certificate + leaf.certificate, root.certificate)


def test_the_fingerprint_is_the_sha256_of_the_certificate(root):
    assert root.fingerprint == root.x509.fingerprint(hashes.SHA256()).hex(":").upper()
    assert len(root.fingerprint) == 95


def test_repr_and_str_of_a_credential_show_no_key(root):
    body = root.key.decode().splitlines()[1]
    assert body not in repr(root)
    assert body not in str(root)
    assert "PRIVATE" not in repr(root)


def test_keys_are_written_for_their_owner_only_and_read_back(tmp_path, issuer):
    key = tmp_path / "issuer.key"
    key.write_text("old, and readable by all")
    key.chmod(0o644)
    certs.write_credential(issuer, tmp_path / "issuer.crt", key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert certs.read_credential(tmp_path / "issuer.crt", key) == issuer
    assert sorted(path.name for path in tmp_path.iterdir()) == ["issuer.crt", "issuer.key"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    certs.write_private(path, b"old")
    with pytest.raises(TypeError):
        certs.write_private(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_key_of_another_certificate_is_noticed(tmp_path, root, issuer):
    certs.write_credential(issuer, tmp_path / "a.crt", tmp_path / "a.key")
    certs.write_private(tmp_path / "a.key", root.key)
    with pytest.raises(CertificateError, match=r"a\.key is not the key of a\.crt"):
        certs.read_credential(tmp_path / "a.crt", tmp_path / "a.key")


def test_a_key_in_the_older_form_is_read(issuer):
    older = issuer.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert b"EC PRIVATE KEY" in older
    assert certs.load_key(older).public_key() == issuer.x509.public_key()


def test_an_rsa_key_is_refused():
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(CertificateError, match="must be ECDSA P-256"):
        certs.load_key(pem)


def test_an_encrypted_key_is_refused_without_a_word_of_it(issuer):
    pem = issuer.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    with pytest.raises(CertificateError, match="unencrypted PEM private key") as caught:
        certs.load_key(pem)
    assert "BEGIN" not in str(caught.value)


def test_what_is_no_certificate_is_refused():
    with pytest.raises(CertificateError, match="not a PEM certificate"):
        certs.load_chain(b"-----BEGIN NONSENSE-----")
