output "security_group_id" {
  description = "Id of the security group, for the instances that run the daemon."
  value       = aws_security_group.this.id
}

output "security_group_arn" {
  description = "ARN of the security group."
  value       = aws_security_group.this.arn
}

output "admin_rule_ids" {
  description = "Ids of the rules that admit cla_backend, by the names in backends."
  value       = { for name, rule in aws_vpc_security_group_ingress_rule.admin : name => rule.security_group_rule_id }
}

output "public_rule_ids" {
  description = "Ids of the rules that admit nginx, by the names in nginx_security_groups; none where nginx runs on the same host."
  value       = { for name, rule in aws_vpc_security_group_ingress_rule.public : name => rule.security_group_rule_id }
}

output "statsd_rule_ids" {
  description = "Ids of the rules that let metrics be sent, by the names in statsd_servers."
  value       = { for name, rule in aws_vpc_security_group_egress_rule.statsd : name => rule.security_group_rule_id }
}

output "dns_rule_ids" {
  description = "Ids of the rules that let names be resolved, by the names in dns_resolvers, each with /tcp and /udp."
  value       = { for name, rule in aws_vpc_security_group_egress_rule.dns : name => rule.security_group_rule_id }
}
