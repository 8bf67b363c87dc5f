/** The configuration that tests of changes begin with. Binds take no port that others may have. */
export const CHANGES_CONFIG = `
global
  maxconn 500
defaults
  mode tcp
  timeout connect 2s
  timeout client 10s
  timeout server 10s
frontend f
  guid fe:1
  bind abns@sluice-${process.pid}-1
  bind abns@sluice-${process.pid}-2
  maxconn 100
  default_backend b
frontend fdis
  disabled
  bind abns@sluice-${process.pid}-3
  default_backend b
listen l
  bind abns@sluice-${process.pid}-4
  server l1 127.0.0.1:19900
backend b
  guid be:1
  balance roundrobin
  server s1 127.0.0.1:19901 check inter 200ms guid srv:1
  server s2 127.0.0.1:19902 weight 10
  server s3 127.0.0.1:19903 backup
  server s4 127.0.0.1:+3
  server s5 127.0.0.1:19905 disabled
  server s6 127.0.0.1
  server s7 127.0.0.1:19905 check inter 200ms port 19904
  server s8 db.test:19908 minconn 2 maxconn 9
  use-server s2 if { src 192.0.2.1 }
backend st
  balance static-rr
  server s1 127.0.0.1:19901 weight 5
  server s2 127.0.0.1:19902 weight 5
backend tr
  server t1 127.0.0.1:19901 track b/s1
  server t2 127.0.0.1:19901 track t1
  server t3 127.0.0.1:19901
backend u
  server un /tmp/backend.sock
  server v6 [::1]:19901
backend off
  disabled
  server s1 127.0.0.1:19901
`;
