# nginx and StatsD on the daemon's own host: the set-up that the package's defaults are for.

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

module "cla_socketserver" {
  source = "../../"

  vpc_id   = var.vpc_id
  backends = { cla-backend = "10.0.1.0/28" }
}

output "security_group_id" {
  description = "Put it into vpc_security_group_ids of the instance."
  value       = module.cla_socketserver.security_group_id
}
