"""Addresses that a server must not fetch from, in the ways that attackers write them."""

# Attempts at what a server must not fetch: refused by what is written, whatever the name resolves to.
WRITTEN = [
    *("http://fal.media/a.png", "ftp://fal.media/a", "file:///etc/passwd", "gopher://fal.media/", "//fal.media/a"),
    *(
        "https:fal.media",
        "https:///etc/passwd",
        "https://",
        "https://?a",
        "jar:https://fal.media!/",
        "https:\\\\fal.media/",
    ),
    # credentials, ports
    *("https://user@fal.media/", "https://user:pass@fal.media/", "https://fal.media@127.0.0.1/", "https://@fal.media/"),
    *("https://fal.media:80/", "https://fal.media:8443/", "https://fal.media:22/", "https://fal.media:0/"),
    *(
        "https://fal.media:65536/",
        "https://fal.media:+443/",
        "https://fal.media:443:443/",
        "https://fal.media:\uff14\uff14\uff13/",
    ),
    # loopback in old forms of IPv4
    *("https://2130706433/", "https://0x7f000001/", "https://017700000001/", "https://0177.0.0.1/", "https://0x7f.1/"),
    *("https://127.1/", "https://127.0.1/", "https://0/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://0x/"),
    "https://127.0.0.01/",
    # names of this machine and of private networks
    *("https://localhost/", "https://LOCALHOST./", "https://a.localhost/", "https://metadata.google.internal/"),
    *(
        "https://metadata/",
        "https://printer.local/",
        "https://nas.lan/",
        "https://router.home.arpa/",
        "https://x.onion/",
    ),
    "https://1.0.0.127.in-addr.arpa/",
    # what parsers disagree about
    *(
        "https://fal.media\\@127.0.0.1/",
        "https://fal.media%2f@127.0.0.1/",
        "https://fal%2emedia/",
        "https://fal .media/",
    ),
    *("https://fal.media\t/", "https://fal.media/a\r\nHost: x", "https://fal.media/\x00", "https://fal..media/"),
    *("https://.fal.media/", "https://fal.media../", "https://-fal.media/", "https://fal_media!/", "https://[::1/"),
    *("https://fal.media。@x/", "https://" + "a" * 64 + ".media/", "https://fal.media/" + "a" * 9000),
    "https://" + "a." * 130 + "media/",
    # IDNA: characters that become others
    *(
        "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
        "https://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/",
        "https://localhost。/",
        "https://\uff11\uff12\uff17.1/",
        "https://fal\u00ad.\u200b/",
    ),
    # IPv6 with a zone, or not at all
    *("https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[127.0.0.1]/", "https://[::g]/", "https://::1/"),
]

# Written well, but the address is not public: as a literal, and as what a name resolves to.
RESOLVED = [
    *(
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - to refuse it
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
    ),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "192.88.99.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::a9fe:a9fe", "2002:7f00:1::1", "2001::7f00:1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"),
]
