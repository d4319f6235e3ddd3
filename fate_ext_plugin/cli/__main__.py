from fate_ext_plugin.cli import main

main()
