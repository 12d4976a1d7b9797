# What the module asks for. Rules are compared as text, whole resources at a time, so that a rule too many shows as well.

mock_provider "aws" {}

variables {
  vpc_id   = "vpc-0a1b2c3d4e5f60718"
  backends = { app = "10.0.1.0/28" }
}

run "by_default_only_cla_backend_gets_in_and_nothing_out" {
  command = plan

  assert {
    condition     = jsonencode(keys(aws_vpc_security_group_ingress_rule.admin)) == jsonencode(["app"])
    error_message = "Exactly the back ends must get in."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.public) == 0
    error_message = "Without an nginx security group nobody but the host itself may reach the socket listener."
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.statsd) + length(aws_vpc_security_group_egress_rule.dns) == 0
    error_message = "Nothing may go out that nobody asked for."
  }
}

run "back_ends_reach_the_admin_port_by_address_and_by_group" {
  command = plan

  variables {
    backends = {
      v4    = "10.0.1.0/28"
      v6    = "fd12:3456:789a:4500::/64"
      group = "sg-0a1b2c3d4e5f60718"
    }
  }

  assert {
    condition = jsonencode({
      for name, rule in aws_vpc_security_group_ingress_rule.admin :
      name => [rule.ip_protocol, rule.from_port, rule.to_port, rule.cidr_ipv4, rule.cidr_ipv6, rule.referenced_security_group_id, rule.description]
      }) == jsonencode({
      v4    = ["tcp", 8005, 8005, "10.0.1.0/28", null, null, "admin from v4"]
      v6    = ["tcp", 8005, 8005, null, "fd12:3456:789a:4500::/64", null, "admin from v6"]
      group = ["tcp", 8005, 8005, null, null, "sg-0a1b2c3d4e5f60718", "admin from group"]
    })
    error_message = "Each back end must get in at the admin port, and no wider."
  }
}

run "a_named_nginx_reaches_the_socket_port_and_not_the_admin_port" {
  command = plan

  variables {
    nginx_security_groups = { nginx = "sg-0a1b2c3d4e5f60718" }
    public_port           = 8006
  }

  assert {
    condition = jsonencode({
      for name, rule in aws_vpc_security_group_ingress_rule.public :
      name => [rule.ip_protocol, rule.from_port, rule.to_port, rule.cidr_ipv4, rule.cidr_ipv6, rule.referenced_security_group_id, rule.description]
      }) == jsonencode({
      nginx = ["tcp", 8006, 8006, null, null, "sg-0a1b2c3d4e5f60718", "Socket.IO from nginx"]
    })
    error_message = "nginx must get in at the socket port only."
  }

  assert {
    condition     = jsonencode(keys(aws_vpc_security_group_ingress_rule.admin)) == jsonencode(["app"])
    error_message = "nginx must not become a back end."
  }
}

run "metrics_leave_for_statsd_only" {
  command = plan

  variables {
    statsd_servers = { v4 = "10.0.3.9/32", v6 = "fd12:3456:789a::9/128", group = "sg-0a1b2c3d" }
  }

  assert {
    condition = jsonencode({
      for name, rule in aws_vpc_security_group_egress_rule.statsd :
      name => [rule.ip_protocol, rule.from_port, rule.to_port, rule.cidr_ipv4, rule.cidr_ipv6, rule.referenced_security_group_id, rule.description]
      }) == jsonencode({
      v4    = ["udp", 8125, 8125, "10.0.3.9/32", null, null, "StatsD to v4"]
      v6    = ["udp", 8125, 8125, null, "fd12:3456:789a::9/128", null, "StatsD to v6"]
      group = ["udp", 8125, 8125, null, null, "sg-0a1b2c3d", "StatsD to group"]
    })
    error_message = "Metrics must go to StatsD over UDP, and no further."
  }
}

run "names_are_asked_for_over_udp_and_tcp" {
  command = plan

  variables {
    dns_resolvers = { v4 = "10.0.0.53/32", v6 = "fd12:3456:789a::53/128", group = "sg-0a1b2c3d" }
  }

  assert {
    condition = jsonencode({
      for name, rule in aws_vpc_security_group_egress_rule.dns :
      name => [rule.ip_protocol, rule.from_port, rule.to_port, rule.cidr_ipv4, rule.cidr_ipv6, rule.referenced_security_group_id, rule.description]
      }) == jsonencode({
      "v4/tcp"    = ["tcp", 53, 53, "10.0.0.53/32", null, null, "DNS to v4"]
      "v4/udp"    = ["udp", 53, 53, "10.0.0.53/32", null, null, "DNS to v4"]
      "v6/tcp"    = ["tcp", 53, 53, null, "fd12:3456:789a::53/128", null, "DNS to v6"]
      "v6/udp"    = ["udp", 53, 53, null, "fd12:3456:789a::53/128", null, "DNS to v6"]
      "group/tcp" = ["tcp", 53, 53, null, null, "sg-0a1b2c3d", "DNS to group"]
      "group/udp" = ["udp", 53, 53, null, null, "sg-0a1b2c3d", "DNS to group"]
    })
    error_message = "Names must be asked for at the resolvers over UDP and TCP, and nowhere else."
  }
}

run "ports_follow_the_daemon_s_configuration" {
  command = plan

  variables {
    admin_port            = 9005
    nginx_security_groups = { nginx = "sg-0a1b2c3d4e5f60718" }
    public_port           = 9006
    statsd_servers        = { statsd = "10.0.3.9/32" }
    statsd_port           = 9125
  }

  assert {
    condition = jsonencode([
      for rule in [
        aws_vpc_security_group_ingress_rule.admin["app"],
        aws_vpc_security_group_ingress_rule.public["nginx"],
        aws_vpc_security_group_egress_rule.statsd["statsd"],
      ] : [rule.from_port, rule.to_port]
    ]) == jsonencode([[9005, 9005], [9006, 9006], [9125, 9125]])
    error_message = "Each rule must open the one port of its variable."
  }
}

run "group_and_rules_carry_name_and_tags" {
  command = plan

  variables {
    name                  = "cla-staging"
    tags                  = { Service = "cla" }
    nginx_security_groups = { nginx = "sg-0a1b2c3d4e5f60718" }
    public_port           = 8006
    statsd_servers        = { statsd = "10.0.3.9/32" }
    dns_resolvers         = { resolver = "10.0.0.53/32" }
  }

  assert {
    condition     = aws_security_group.this.name_prefix == "cla-staging-" && aws_security_group.this.vpc_id == "vpc-0a1b2c3d4e5f60718"
    error_message = "The group must carry its name and lie in its VPC."
  }

  assert {
    condition = alltrue([
      for tagged in [
        aws_security_group.this,
        aws_vpc_security_group_ingress_rule.admin["app"],
        aws_vpc_security_group_ingress_rule.public["nginx"],
        aws_vpc_security_group_egress_rule.statsd["statsd"],
        aws_vpc_security_group_egress_rule.dns["resolver/udp"],
      ] : jsonencode(tagged.tags) == jsonencode({ Name = "cla-staging", Service = "cla" })
    ])
    error_message = "Everything must carry the tags, and its Name."
  }
}

run "the_widest_networks_that_a_vpc_may_have_are_accepted" {
  command = plan

  variables {
    backends = {
      a = "10.0.0.0/16"
      b = "172.16.0.0/16"
      c = "172.31.0.0/16"
      d = "192.168.0.0/16"
      e = "fc12:3456:789a::/48"
      f = "fd12:3456:789a::/48"
      g = "100.64.0.0/16"
      h = "100.99.0.0/16"
      i = "100.127.0.0/16"
    }
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.admin) == 9
    error_message = "Each of them must get its rule."
  }
}

run "outputs_name_the_rules_as_the_caller_does" {
  command = apply

  variables {
    nginx_security_groups = { nginx = "sg-0a1b2c3d4e5f60718" }
    public_port           = 8006
    statsd_servers        = { statsd = "10.0.3.9/32" }
    dns_resolvers         = { resolver = "10.0.0.53/32" }
  }

  assert {
    condition = jsonencode([
      keys(output.admin_rule_ids), keys(output.public_rule_ids), keys(output.statsd_rule_ids), keys(output.dns_rule_ids)
    ]) == jsonencode([["app"], ["nginx"], ["statsd"], ["resolver/tcp", "resolver/udp"]])
    error_message = "Rule ids must be found under the caller's names."
  }

  assert {
    condition     = output.security_group_id == aws_security_group.this.id && output.security_group_arn == aws_security_group.this.arn
    error_message = "The group must be told by id and ARN."
  }
}
