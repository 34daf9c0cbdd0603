#!/bin/sh
# Stands in for perl while OpenSSL is built (OPENSSL_SRC_PERL), and leaves out of it
# what a client of TLS 1.2 and 1.3 never calls: it is most of the binary. Elliptic
# curves, RSA, AES, ChaCha20, SHA and the assembly of all of these stay, AES-NI and
# AVX2 included.
set -eu
case ${1-} in
./Configure | */Configure)
    # So that it also runs the generators of assembly.
    PERL=$0
    # Perl hands a script on to what its first line names.
    HASHBANGPERL=$(command -v perl)
    export PERL HASHBANGPERL
    exec perl "$@" \
        no-apps no-docs no-dso no-afalgeng no-sock no-dgram no-dtls no-quic no-srtp no-srp no-psk \
        no-cms no-cmp no-ts no-ct no-ocsp no-rfc3779 no-http no-gost \
        no-aria no-bf no-blake2 no-cast no-md4 no-mdc2 no-rc2 no-rc4 no-rmd160 no-whirlpool \
        no-sm2 no-sm3 no-sm4 no-siphash no-siv no-ocb no-scrypt no-argon2 no-dsa no-ec2m \
        no-lms no-ml-dsa no-slh-dsa no-ssl-trace no-trace no-nextprotoneg no-ui-console \
        no-filenames no-multiblock no-tls-deprecated-ec no-integrity-only-ciphers
    ;;
*avx512*.pl | *avxifma*.pl | *-mb-x86_64.pl | *aesni-sha*-x86_64.pl)
    # These ask the compiler whether it knows the instructions, and make stubs where it
    # does not. AES-GCM with AVX-512 alone is 0.7 MB, for rates that no hub sends at; the
    # others serve many connections at once, private keys of RSA, and CBC.
    CC=false
    export CC
    ;;
esac
exec perl "$@"
