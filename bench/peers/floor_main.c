/* The floor as a peer program. */

#include "bench/peers/floor.h"

int main(int argc, char **argv)
{
    return trp_peer_main(argc, argv, trp_floor_run);
}
