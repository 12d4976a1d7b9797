variable "vpc_id" {
  description = "VPC of the instances that run the daemon."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-([0-9a-f]{8}|[0-9a-f]{17})$", var.vpc_id))
    error_message = "vpc_id must be the id of a VPC, such as vpc-0a1b2c3d4e5f60718."
  }
}

variable "name" {
  description = "Start of the security group's name, and its Name tag."
  type        = string
  default     = "cla-socketserver"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,62}$", var.name)) && !startswith(var.name, "sg-")
    error_message = "name must be up to 63 lower-case letters, digits and hyphens, start with a letter, and not with \"sg-\", which AWS keeps for ids."
  }
}

variable "tags" {
  description = "Tags of the security group and of every rule."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "backends" {
  description = "Addresses of cla_backend, which may reach the admin listener, each under a name of your choice. An address is an IPv4 network, an IPv6 network or the id of a security group."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.backends) > 0
    error_message = "backends must name at least one address of cla_backend: without any, its notifications reach nobody."
  }

  validation {
    condition     = alltrue([for name in keys(var.backends) : can(regex(local.peer_name, name))])
    error_message = "Names in backends must be up to 63 lower-case letters, digits, dots, hyphens and underscores, and start with a letter or digit."
  }

  validation {
    condition     = alltrue([for peer in values(var.backends) : try(cidrsubnet(peer, 0, 0) == peer, can(regex("^sg-", peer)))])
    error_message = "Each of backends must be the id of a security group or a network in its shortest form, without bits beyond the prefix: 10.0.1.0/28, not 10.0.1.5/28; 10.0.1.5/32, not 10.0.1.5."
  }

  validation {
    condition     = alltrue([for peer in values(var.backends) : can(regex(local.near_peer, peer))])
    error_message = "Each of backends must be near: a security group (sg- and 8 or 17 hex digits), private IPv4 no wider than /16, or unique-local IPv6 no wider than /48. The admin listener is never open to the internet."
  }
}

variable "admin_port" {
  description = "TCP port of the admin listener, as in admin.listen. cla_backend knows only 8005."
  type        = number
  default     = 8005
  nullable    = false

  validation {
    condition     = var.admin_port >= 1 && var.admin_port <= 65535 && floor(var.admin_port) == var.admin_port
    error_message = "admin_port must be a whole number from 1 to 65535."
  }
}

variable "nginx_security_groups" {
  description = "Ids of the security groups of nginx, each under a name of your choice, where nginx runs on other hosts and public.listen is a private address. Leave it empty where nginx runs on the same host: then nothing else reaches the public listener."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.nginx_security_groups) : can(regex(local.peer_name, name))])
    error_message = "Names in nginx_security_groups must be up to 63 lower-case letters, digits, dots, hyphens and underscores, and start with a letter or digit."
  }

  validation {
    condition     = alltrue([for id in values(var.nginx_security_groups) : can(regex(local.security_group_id, id))])
    error_message = "Each of nginx_security_groups must be the id of a security group, such as sg-0a1b2c3d4e5f60718: the socket listener trusts what its proxy says, so a network is not enough."
  }
}

variable "public_port" {
  description = "TCP port of the public listener, as in public.listen. It matters only with nginx_security_groups, and then it must differ from admin_port."
  type        = number
  default     = 8005
  nullable    = false

  validation {
    condition     = var.public_port >= 1 && var.public_port <= 65535 && floor(var.public_port) == var.public_port
    error_message = "public_port must be a whole number from 1 to 65535."
  }

  validation {
    condition     = length(var.nginx_security_groups) == 0 || var.public_port != var.admin_port
    error_message = "public_port must differ from admin_port where nginx_security_groups names anybody: a security group cannot tell two addresses of one host apart, so nginx would reach the admin listener as well."
  }
}

variable "statsd_servers" {
  description = "Addresses of StatsD, each under a name of your choice: an IPv4 network, an IPv6 network or the id of a security group. Leave it empty where StatsD runs on the same host."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.statsd_servers) : can(regex(local.peer_name, name))])
    error_message = "Names in statsd_servers must be up to 63 lower-case letters, digits, dots, hyphens and underscores, and start with a letter or digit."
  }

  validation {
    condition     = alltrue([for peer in values(var.statsd_servers) : try(cidrsubnet(peer, 0, 0) == peer, can(regex("^sg-", peer)))])
    error_message = "Each of statsd_servers must be the id of a security group or a network in its shortest form, without bits beyond the prefix: 10.0.3.9/32, not 10.0.3.9."
  }

  validation {
    condition     = alltrue([for peer in values(var.statsd_servers) : can(regex(local.near_peer, peer))])
    error_message = "Each of statsd_servers must be near: a security group (sg- and 8 or 17 hex digits), private IPv4 no wider than /16, or unique-local IPv6 no wider than /48. Metrics do not leave by the internet."
  }
}

variable "statsd_port" {
  description = "UDP port of StatsD, as in statsd.port."
  type        = number
  default     = 8125
  nullable    = false

  validation {
    condition     = var.statsd_port >= 1 && var.statsd_port <= 65535 && floor(var.statsd_port) == var.statsd_port
    error_message = "statsd_port must be a whole number from 1 to 65535."
  }
}

variable "dns_resolvers" {
  description = "Name servers that resolve statsd.host, each under a name of your choice: an IPv4 network, an IPv6 network or the id of a security group. Leave it empty where statsd.host is an address, or where the name server is Amazon's, which security groups do not filter."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.dns_resolvers) : can(regex(local.peer_name, name))])
    error_message = "Names in dns_resolvers must be up to 63 lower-case letters, digits, dots, hyphens and underscores, and start with a letter or digit."
  }

  validation {
    condition     = alltrue([for peer in values(var.dns_resolvers) : try(cidrsubnet(peer, 0, 0) == peer, can(regex("^sg-", peer)))])
    error_message = "Each of dns_resolvers must be the id of a security group or a network in its shortest form, without bits beyond the prefix: 10.0.0.2/32, not 10.0.0.2."
  }

  validation {
    condition     = alltrue([for peer in values(var.dns_resolvers) : can(regex(local.near_peer, peer))])
    error_message = "Each of dns_resolvers must be near: a security group (sg- and 8 or 17 hex digits), private IPv4 no wider than /16, or unique-local IPv6 no wider than /48. 169.254.169.253 needs no rule."
  }
}
