# The provider takes away the rule that AWS gives a new group, which lets everything out; what follows is all that gets in or out.
resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:the caller attaches it, to instances that this module does not make
  name_prefix = "${var.name}-"
  description = "cla-socketserver: admin from cla_backend, metrics and names out"
  vpc_id      = var.vpc_id
  tags        = local.tags

  # An instance always has a group: a change that AWS cannot make in place must not wait for it to be detached.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "admin" {
  for_each = var.backends

  security_group_id = aws_security_group.this.id
  description       = "admin from ${each.key}"
  tags              = local.tags

  ip_protocol = "tcp"
  from_port   = var.admin_port
  to_port     = var.admin_port

  cidr_ipv4                    = strcontains(each.value, ".") ? each.value : null
  cidr_ipv6                    = strcontains(each.value, ":") ? each.value : null
  referenced_security_group_id = startswith(each.value, "sg-") ? each.value : null
}

# Browsers come through nginx. On the same host that is loopback, which needs no rule.
resource "aws_vpc_security_group_ingress_rule" "public" {
  for_each = var.nginx_security_groups

  security_group_id = aws_security_group.this.id
  description       = "Socket.IO from ${each.key}"
  tags              = local.tags

  ip_protocol = "tcp"
  from_port   = var.public_port
  to_port     = var.public_port

  referenced_security_group_id = each.value
}

resource "aws_vpc_security_group_egress_rule" "statsd" {
  for_each = var.statsd_servers

  security_group_id = aws_security_group.this.id
  description       = "StatsD to ${each.key}"
  tags              = local.tags

  ip_protocol = "udp"
  from_port   = var.statsd_port
  to_port     = var.statsd_port

  cidr_ipv4                    = strcontains(each.value, ".") ? each.value : null
  cidr_ipv6                    = strcontains(each.value, ":") ? each.value : null
  referenced_security_group_id = startswith(each.value, "sg-") ? each.value : null
}

# An answer that does not fit into a datagram is asked for again over TCP.
resource "aws_vpc_security_group_egress_rule" "dns" {
  for_each = {
    for pair in setproduct(keys(var.dns_resolvers), ["tcp", "udp"]) :
    "${pair[0]}/${pair[1]}" => { name = pair[0], protocol = pair[1], peer = var.dns_resolvers[pair[0]] }
  }

  security_group_id = aws_security_group.this.id
  description       = "DNS to ${each.value.name}"
  tags              = local.tags

  ip_protocol = each.value.protocol
  from_port   = 53
  to_port     = 53

  cidr_ipv4                    = strcontains(each.value.peer, ".") ? each.value.peer : null
  cidr_ipv6                    = strcontains(each.value.peer, ":") ? each.value.peer : null
  referenced_security_group_id = startswith(each.value.peer, "sg-") ? each.value.peer : null
}
