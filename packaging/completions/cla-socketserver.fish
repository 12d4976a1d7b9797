# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cla_socketserver_global_optspecs
    string join \n config= public-listen= admin-listen= demo h/help V/version
end

function __fish_cla_socketserver_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cla_socketserver_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cla_socketserver_using_subcommand
    set -l cmd (__fish_cla_socketserver_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -l config -d 'Read this file instead of /etc/cla-socketserver/config.toml; it must exist' -r -F
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -l public-listen -d 'Addresses for browsers, e.g. 127.0.0.1:8005; separate several by commas' -r -f
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -l admin-listen -d 'Loopback or private addresses for the admin app, e.g. 127.0.0.1:8006; separate several by commas' -r -f
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -l demo -d 'Also serve a page for trying presence, at /demo/ of the admin listener'
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -s V -l version -d 'Print version'
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -f -a "check" -d 'Print the effective configuration, or everything that is wrong with it'
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -f -a "reload" -d 'Make the running service adopt its changed configuration, if nothing is wrong with it; the unit runs this for systemctl reload'
complete -c cla-socketserver -n "__fish_cla_socketserver_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -l config -d 'Read this file instead of /etc/cla-socketserver/config.toml; it must exist' -r -F
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -l public-listen -d 'Addresses for browsers, e.g. 127.0.0.1:8005; separate several by commas' -r -f
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -l admin-listen -d 'Loopback or private addresses for the admin app, e.g. 127.0.0.1:8006; separate several by commas' -r -f
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -l all -d 'Print every setting'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -l quiet -d 'Print only mistakes that keep the daemon from starting'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -l demo -d 'Also serve a page for trying presence, at /demo/ of the admin listener'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand reload" -l config -d 'Read this file instead of /etc/cla-socketserver/config.toml; it must exist' -r -F
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand reload" -l public-listen -d 'Addresses for browsers, e.g. 127.0.0.1:8005; separate several by commas' -r -f
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand reload" -l admin-listen -d 'Loopback or private addresses for the admin app, e.g. 127.0.0.1:8006; separate several by commas' -r -f
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand reload" -l demo -d 'Also serve a page for trying presence, at /demo/ of the admin listener'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand reload" -s h -l help -d 'Print help'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand help; and not __fish_seen_subcommand_from check reload help" -f -a "check" -d 'Print the effective configuration, or everything that is wrong with it'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand help; and not __fish_seen_subcommand_from check reload help" -f -a "reload" -d 'Make the running service adopt its changed configuration, if nothing is wrong with it; the unit runs this for systemctl reload'
complete -c cla-socketserver -n "__fish_cla_socketserver_using_subcommand help; and not __fish_seen_subcommand_from check reload help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
