"""The protocols of overlay daemons, as machines without sockets: SOCKS5, Tor's control port, I2P's SAM bridge."""
