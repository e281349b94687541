/* A CUDA driver library for a machine that has no driver: every call says that there is
 * no device. SGLang's libraries link against libcuda.so.1 and call these two at start. */

#define CUDA_ERROR_NO_DEVICE 100

int cuInit(unsigned int flags) {
    (void)flags;
    return CUDA_ERROR_NO_DEVICE;
}

int cuPointerGetAttribute(void *data, int attribute, unsigned long long pointer) {
    (void)data;
    (void)attribute;
    (void)pointer;
    return CUDA_ERROR_NO_DEVICE;
}
