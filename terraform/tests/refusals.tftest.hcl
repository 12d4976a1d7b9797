# What the module refuses. A run may break several variables, each in one way: then each of them must be refused.

mock_provider "aws" {}

variables {
  vpc_id   = "vpc-0a1b2c3d4e5f60718"
  backends = { app = "10.0.1.0/28" }
}

run "ids_and_names_in_other_shapes" {
  command = plan

  variables {
    vpc_id = "vpc-main"
    name   = "CLA"
  }

  expect_failures = [var.vpc_id, var.name]
}

run "a_name_that_looks_like_an_id" {
  command = plan

  variables {
    name = "sg-cla"
  }

  expect_failures = [var.name]
}

run "no_back_end" {
  command = plan

  variables {
    backends = {}
  }

  expect_failures = [var.backends]
}

run "peers_with_a_name_that_aws_refuses" {
  command = plan

  variables {
    backends       = { "app|1" = "10.0.1.0/28" }
    statsd_servers = { "app|1" = "10.0.1.0/28" }
    dns_resolvers  = { "app|1" = "10.0.1.0/28" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "bare_addresses" {
  command = plan

  variables {
    backends       = { app = "10.0.1.5" }
    statsd_servers = { app = "10.0.1.5" }
    dns_resolvers  = { app = "10.0.1.5" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "bits_beyond_the_prefix" {
  command = plan

  variables {
    backends       = { app = "10.0.1.5/28" }
    statsd_servers = { app = "10.0.1.5/28" }
    dns_resolvers  = { app = "10.0.1.5/28" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "ipv6_bits_beyond_the_prefix" {
  command = plan

  variables {
    backends       = { app = "fd12:3456:789a:4500::1/64" }
    statsd_servers = { app = "fd12:3456:789a:4500::1/64" }
    dns_resolvers  = { app = "fd12:3456:789a:4500::1/64" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "ipv6_in_capitals" {
  command = plan

  variables {
    backends       = { app = "FD12:3456:789A:4500::/64" }
    statsd_servers = { app = "FD12:3456:789A:4500::/64" }
    dns_resolvers  = { app = "FD12:3456:789A:4500::/64" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "all_of_ipv4" {
  command = plan

  variables {
    backends       = { app = "0.0.0.0/0" }
    statsd_servers = { app = "0.0.0.0/0" }
    dns_resolvers  = { app = "0.0.0.0/0" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "all_of_ipv6" {
  command = plan

  variables {
    backends       = { app = "::/0" }
    statsd_servers = { app = "::/0" }
    dns_resolvers  = { app = "::/0" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "the_internet" {
  command = plan

  variables {
    backends       = { app = "8.8.8.8/32" }
    statsd_servers = { app = "8.8.8.8/32" }
    dns_resolvers  = { app = "8.8.8.8/32" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "the_internet_by_ipv6" {
  command = plan

  variables {
    backends       = { app = "2a05:d01c:123:4500::/64" }
    statsd_servers = { app = "2a05:d01c:123:4500::/64" }
    dns_resolvers  = { app = "2a05:d01c:123:4500::/64" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "addresses_just_below_those_of_rfc_6598" {
  command = plan

  variables {
    backends       = { app = "100.63.0.0/24" }
    statsd_servers = { app = "100.63.0.0/24" }
    dns_resolvers  = { app = "100.63.0.0/24" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "addresses_just_above_those_of_rfc_6598" {
  command = plan

  variables {
    backends       = { app = "100.128.0.0/24" }
    statsd_servers = { app = "100.128.0.0/24" }
    dns_resolvers  = { app = "100.128.0.0/24" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "addresses_just_beside_the_private_ones" {
  command = plan

  variables {
    backends       = { app = "172.32.0.0/24" }
    statsd_servers = { app = "172.32.0.0/24" }
    dns_resolvers  = { app = "172.32.0.0/24" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "ipv4_wider_than_a_vpc" {
  command = plan

  variables {
    backends       = { app = "10.0.0.0/15" }
    statsd_servers = { app = "10.0.0.0/15" }
    dns_resolvers  = { app = "10.0.0.0/15" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "ipv6_wider_than_a_site" {
  command = plan

  variables {
    backends       = { app = "fd12:3456:789a::/47" }
    statsd_servers = { app = "fd12:3456:789a::/47" }
    dns_resolvers  = { app = "fd12:3456:789a::/47" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "ipv4_dressed_as_ipv6" {
  command = plan

  variables {
    backends       = { app = "::ffff:808:808/128" }
    statsd_servers = { app = "::ffff:808:808/128" }
    dns_resolvers  = { app = "::ffff:808:808/128" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "half_the_id_of_a_group" {
  command = plan

  variables {
    backends       = { app = "sg-0a1b" }
    statsd_servers = { app = "sg-0a1b" }
    dns_resolvers  = { app = "sg-0a1b" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "one_bad_peer_among_good_ones" {
  command = plan

  variables {
    backends       = { app = "10.0.1.0/28", group = "sg-0a1b2c3d", world = "0.0.0.0/0" }
    statsd_servers = { app = "10.0.1.0/28", group = "sg-0a1b2c3d", world = "0.0.0.0/0" }
    dns_resolvers  = { app = "10.0.1.0/28", group = "sg-0a1b2c3d", world = "0.0.0.0/0" }
  }

  expect_failures = [var.backends, var.statsd_servers, var.dns_resolvers]
}

run "nginx_with_a_name_that_aws_refuses" {
  command = plan

  variables {
    nginx_security_groups = { "nginx|1" = "sg-0a1b2c3d" }
    public_port           = 8006
  }

  expect_failures = [var.nginx_security_groups]
}

run "nginx_by_address" {
  command = plan

  variables {
    nginx_security_groups = { nginx = "10.0.1.0/28" }
    public_port           = 8006
  }

  expect_failures = [var.nginx_security_groups]
}

run "one_port_for_nginx_and_cla_backend" {
  command = plan

  variables {
    nginx_security_groups = { nginx = "sg-0a1b2c3d" }
  }

  expect_failures = [var.public_port]
}

run "ports_zero" {
  command = plan

  variables {
    admin_port  = 0
    statsd_port = 0
  }

  expect_failures = [var.admin_port, var.statsd_port]
}

run "a_socket_port_zero" {
  command = plan

  variables {
    public_port = 0
  }

  expect_failures = [var.public_port]
}

run "ports_beyond_65535" {
  command = plan

  variables {
    admin_port  = 65536
    statsd_port = 65536
  }

  expect_failures = [var.admin_port, var.statsd_port]
}

run "a_socket_port_beyond_65535" {
  command = plan

  variables {
    public_port = 65536
  }

  expect_failures = [var.public_port]
}

run "ports_in_fractions" {
  command = plan

  variables {
    admin_port  = 8005.5
    statsd_port = 8005.5
  }

  expect_failures = [var.admin_port, var.statsd_port]
}

run "a_socket_port_in_fractions" {
  command = plan

  variables {
    public_port = 8005.5
  }

  expect_failures = [var.public_port]
}
