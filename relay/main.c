/*
 * main.c - kafka-relay: everything is in the subcommands.
 */
#include "relay/cli/cli.h"

int main(int argc, char **argv)
{
    return commands_main(argc, argv);
}
