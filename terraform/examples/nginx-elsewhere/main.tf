# Everything on hosts of its own, over IPv4 and IPv6: public.listen is a private address with port 8006, admin.listen one with port 8005.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

provider "aws" {
  region = "eu-west-2"
}

variable "vpc_id" {
  description = "VPC of the instance that runs the daemon."
  type        = string
}

# Stand for the groups that your hosts have: the module takes ids that are known only after apply.
resource "aws_security_group" "neighbour" {
  #checkov:skip=CKV2_AWS_5:an example, which makes no instances
  for_each = toset(["cla-backend", "nginx"])

  name_prefix = "${each.key}-"
  description = "${each.key} beside cla-socketserver"
  vpc_id      = var.vpc_id
}

module "cla_socketserver" {
  source = "../../"

  vpc_id = var.vpc_id
  tags   = { Service = "cla" }

  backends = {
    cla-backend    = aws_security_group.neighbour["cla-backend"].id
    cla-backend-v4 = "10.0.1.0/28"
    cla-backend-v6 = "fd12:3456:789a:4500::/64"
  }

  nginx_security_groups = { nginx = aws_security_group.neighbour["nginx"].id }
  public_port           = 8006

  statsd_servers = { statsd = "10.0.3.9/32" }
  dns_resolvers  = { resolver-a = "10.0.0.53/32", resolver-b = "fd12:3456:789a::53/128" }
}

output "security_group_id" {
  description = "Put it into vpc_security_group_ids of the instance."
  value       = module.cla_socketserver.security_group_id
}
